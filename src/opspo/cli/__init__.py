"""The command line, `opspo`: a file for each of its `COMMANDS`, with a function `command`.

JAX and the engines are imported only once a command needs them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from opspo.errors import (
    ConfigError,
    EngineError,
    Interrupted,
    RunError,
    TrainingError,
    unknown_name,
)

USAGE_ERROR = 2
STOPPED = 130

COMMANDS: dict[str, str] = {
    "train": "Train, by default OPSPO on SMAX 3m.",
    "resume": "Continue a run from its latest checkpoint.",
    "eval": "Play episodes with a trained policy and print JSON.",
    "watch": "Film one episode of a trained policy, as GIF or MP4.",
    "study": "Run many runs that one file names, and continue them.",
    "tune": "Find good settings, with the same number of trials for every algorithm.",
    "plot": "Draw the figures of a study, or of any run folders.",
    "report": "Write a study as one page for a browser.",
    "fidelity": "Measure how near corrected updates come to on-policy data.",
    "bench": "Time an engine, an update, whole iterations, or all algorithms.",
    "theory": "Check the bounds of the theory on small games, solved exactly.",
    "check": "Play an environment at random and report what does not fit.",
    "envs": "List the environments, with their sizes and what is missing.",
    "algos": "List the algorithms.",
}
"""Command, which is also the name of its file → what it does"""

OLD_FLAGS = {"--hosts": "--processes"}
"""Flag of earlier versions → what it is called now"""

EXPECTED: dict[type[Exception], int] = {
    ConfigError: USAGE_ERROR,
    RunError: USAGE_ERROR,
    Interrupted: STOPPED,
    EngineError: 1,
    TrainingError: 1,
}
"""Errors that the user can fix, which come without a traceback → exit status"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; errors that the user can fix come without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        sys.exit(0 if arguments else USAGE_ERROR)
    name, *rest = arguments
    # JAX also logs what a callback raises, with a traceback of its own
    logging.getLogger("jax._src.callback").setLevel(logging.CRITICAL)
    try:
        if name not in COMMANDS:
            raise unknown_name("command", name, COMMANDS)
        import_module(f"opspo.cli.{name}").command(_renamed(rest))
    except KeyboardInterrupt:
        _fail("Stopped at once. What was saved before is untouched.", STOPPED)
    except tuple(EXPECTED) as error:
        _fail(str(error), next(n for kind, n in EXPECTED.items() if isinstance(error, kind)))


def _renamed(arguments: Sequence[str]) -> list[str]:
    """Flags under the names that they have now."""
    split = [argument.partition("=") for argument in arguments]
    return [OLD_FLAGS.get(flag, flag) + equals + value for flag, equals, value in split]


def _fail(message: str, status: int) -> None:
    print(f"opspo: {message}", file=sys.stderr)
    sys.exit(status)


def _overview() -> str:
    lines = [f"  opspo {name:8} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "Trust-region multi-agent reinforcement learning.",
            "",
            *lines,
            "",
            "`opspo COMMAND --help` shows a command's settings.",
        ]
    )
