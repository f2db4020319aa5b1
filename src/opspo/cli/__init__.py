"""The command line, `opspo`, with each of its `COMMANDS`.

JAX and the engines are imported only once a command needs them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

import tyro

from opspo.algorithms import ALGORITHMS
from opspo.cli.runs import evaluate, resume
from opspo.cli.train import train
from opspo.errors import ConfigError, unknown_name

USAGE_ERROR = 2
STOPPED = 130


def watch(arguments: Sequence[str]) -> None:
    """Film one episode of a trained policy, as GIF or MP4."""
    from opspo.rendering.command import watch as run

    run(arguments)


def bench(arguments: Sequence[str]) -> None:
    """Time an engine, an update, whole iterations, or all algorithms."""
    from opspo.bench.command import bench as run

    run(arguments)


def theory(arguments: Sequence[str]) -> None:
    """Check the bounds of the theory on small games, solved exactly."""
    from opspo.theory.command import theory as run

    run(arguments)


def check(arguments: Sequence[str]) -> None:
    """Play an environment at random and report what does not fit."""
    from opspo.environments.checks.command import command

    command(arguments)


def list_environments(arguments: Sequence[str]) -> None:
    """List the environments, with their sizes and what is missing."""
    from opspo.catalogue import command

    command(arguments)


def list_algorithms(arguments: Sequence[str]) -> None:
    """List the algorithms."""
    tyro.cli(_no_arguments, prog="opspo algos", args=arguments)
    for name, config in sorted(ALGORITHMS.items()):
        print(f"{name:8} {(config.__doc__ or '').splitlines()[0]}")


def _no_arguments() -> None:
    """This command takes no arguments."""


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": train,
    "resume": resume,
    "eval": evaluate,
    "watch": watch,
    "bench": bench,
    "theory": theory,
    "check": check,
    "envs": list_environments,
    "algos": list_algorithms,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors that the user can fix come without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        sys.exit(0 if arguments else USAGE_ERROR)
    command, *rest = arguments
    # JAX also logs what a callback raises, with a traceback of its own
    logging.getLogger("jax._src.callback").setLevel(logging.CRITICAL)
    try:
        if command not in COMMANDS:
            raise unknown_name("command", command, COMMANDS)
        COMMANDS[command](rest)
    except ConfigError as error:
        _fail(error, USAGE_ERROR)
    except KeyboardInterrupt:
        _fail(RuntimeError("Stopped at once. What was saved before is untouched."), STOPPED)
    except Exception as error:
        status = _expected_status(error)
        if status is None:
            raise
        _fail(error, status)


def _expected_status(error: Exception) -> int | None:
    from opspo.errors import EngineError, Interrupted, RunError, TrainingError

    if isinstance(error, Interrupted):
        return STOPPED
    if isinstance(error, RunError):
        return USAGE_ERROR
    return 1 if isinstance(error, EngineError | TrainingError) else None


def _fail(error: Exception, status: int) -> None:
    print(f"opspo: {error}", file=sys.stderr)
    sys.exit(status)


def _overview() -> str:
    lines = [f"  opspo {name:8} {run.__doc__}" for name, run in COMMANDS.items()]
    return "\n".join(
        [
            "Trust-region multi-agent reinforcement learning.",
            "",
            *lines,
            "",
            "`opspo COMMAND --help` shows a command's settings.",
        ]
    )
