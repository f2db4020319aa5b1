"""The command line: `opspo train`, `resume`, `eval`, `watch`, `bench`, `theory`, `envs`, `algos`.

JAX and the engines are imported only once a command needs them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from opspo.config import (
    ALGORITHM_CONFIGS,
    ConfigError,
    TrainConfig,
    parse_checkpoint,
    parse_hosts,
    parse_seeds,
    unknown_name,
)

USAGE_ERROR = 2
STOPPED = 130


@dataclass(frozen=True)
class _Train:
    """Train, by default OPSPO on SMAX 3m. Every setting is a flag."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str = "default"
    """Start from these settings: `default`, `paper` (Tables 2 to 4), or `literal` (OPSPO as
    printed); flags given beside it come on top."""
    variant: str = ""
    """Change the preset before those flags come on top: `equal_steps` gives algorithms that update
    all agents at once as many gradient steps as those in turn."""
    from_config: str = ""
    """Start from the settings in this config.json; flags given beside it come on top."""
    init_from: str = ""
    """Start from the parameters of the run in this folder, wherever they fit: on another map, with
    another algorithm or seed. What fits is printed, and kept in init.json."""
    init_checkpoint: str = "latest"
    """Of that run: `latest`, `best`, or an iteration."""
    seeds: str = ""
    """Train a run for each of these seeds, in one program: `0..7` or `0,3,5`. `devices` then
    divides the seeds, and each run is in a folder of its own, seed<seed> in run_dir."""
    hosts: str = ""
    """Train on several machines: address:port of the first, how many, and which this is (from 0),
    like `10.0.0.1:9000,2,0`. The same command runs on each; `devices` counts those of all."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace the run folder if it exists."""


@dataclass(frozen=True)
class _Resume:
    """Go on with a run from its latest checkpoint, exactly as if it had not stopped.

    The settings are those of its config.json. Those that the checkpoint hangs on must not be
    changed there (docs/runs.md lists them).
    """

    run_dir: str
    """Folder of the run."""
    checkpoint: int | None = None
    """Iteration to go on from; what came after it is dropped."""
    total_steps: int | None = None
    """Go on to this many steps instead, also after the end. Annealed step sizes then fall to 0 at
    the new end: they go on from where a run of that length would be, so they rise again. With none
    annealed, it is the run that had this length from the start."""
    devices: int | None = None
    """Devices to divide the environments over, where not those of the run so far."""
    hosts: str = ""
    """As in `opspo train`; all hosts have to see the folder."""


@dataclass(frozen=True)
class _Eval:
    """Play episodes with a trained policy and print the outcome as JSON."""

    run_dir: str
    """Folder of the run."""
    episodes: int = 100
    """Episodes to play."""
    seed: int = 0
    """Of the episodes."""
    greedy: bool = True
    """Take the most probable action (else sample)."""
    checkpoint: str = "latest"
    """`latest`, `best`, or an iteration."""


def train(arguments: Sequence[str]) -> None:
    """Train, by default OPSPO on SMAX 3m."""
    from opspo.environments import check_id
    from opspo.presets.command import starting_config

    default, env = starting_config(arguments)
    check_id(env)
    parsed = _parse_train(arguments, default)
    if parsed.variant:
        parsed = _parse_train(arguments, _varied(parsed, default))

    from opspo import trainer
    from opspo.devices import keep_programs

    keep_programs()
    hosts = parse_hosts(parsed.hosts)
    if parsed.seeds and hosts:
        raise ConfigError("--seeds are trained on one host: leave out --hosts, or give one --seed.")
    start: dict[str, Any] = {
        "init_from": parsed.init_from or None,
        "init_checkpoint": parse_checkpoint(parsed.init_checkpoint),
        "overwrite": parsed.overwrite,
    }
    if parsed.seeds:
        results = trainer.train_seeds(parsed.config, parse_seeds(parsed.seeds), **start)
    else:
        results = [trainer.train(parsed.config, hosts=hosts, **start)]
    for result in results:
        print(f"Done: {result.env_steps:,} steps. Everything is in {result.run_dir}/")


def _parse_train(arguments: Sequence[str], default: TrainConfig) -> _Train:
    return tyro.cli(_Train, prog="opspo train", args=arguments, default=_Train(config=default))


def _varied(parsed: _Train, default: TrainConfig) -> TrainConfig:
    """A preset's settings with the variant that a command line asks for.

    Which parameters are shared and what the critic sees are those of the command line: they decide
    who takes which steps.
    """
    from opspo.environments import make_env
    from opspo.presets import VARIANTS, variant_config

    if parsed.variant not in VARIANTS:
        raise unknown_name("variant", parsed.variant, VARIANTS)
    if parsed.from_config:
        raise ConfigError(
            "--variant changes a preset, but --from-config has the settings of a run, which may be "
            "changed already. Leave one of the two out."
        )
    asked = parsed.config
    base = dataclasses.replace(
        default,
        env=asked.env,
        policy=dataclasses.replace(default.policy, share_parameters=asked.policy.share_parameters),
        algorithm=dataclasses.replace(default.algorithm, critic=asked.algorithm.critic),
    )
    num_agents = make_env(asked.env).spec.num_agents
    return variant_config(parsed.variant, base, num_agents=num_agents, preset=parsed.preset)


def resume(arguments: Sequence[str]) -> None:
    """Go on with a run from its latest checkpoint."""
    parsed = tyro.cli(_Resume, prog="opspo resume", args=arguments)

    from opspo.devices import keep_programs
    from opspo.trainer import resume as run

    keep_programs()
    hosts = parse_hosts(parsed.hosts)
    result = run(
        parsed.run_dir,
        checkpoint=parsed.checkpoint,
        devices=parsed.devices,
        total_steps=parsed.total_steps,
        hosts=hosts,
    )
    print(f"Done: {result.env_steps:,} steps. Everything is in {result.run_dir}/")


def evaluate(arguments: Sequence[str]) -> None:
    """Play episodes with a trained policy and print JSON."""
    parsed = tyro.cli(_Eval, prog="opspo eval", args=arguments)
    checkpoint = parse_checkpoint(parsed.checkpoint)
    if parsed.episodes < 1:
        raise ConfigError(f"--episodes must be at least 1, but is {parsed.episodes}.")
    if not 0 <= parsed.seed < 2**31:
        raise ConfigError(f"--seed must be from 0 to 2**31 - 1, but is {parsed.seed}.")

    from opspo.devices import keep_programs
    from opspo.trainer import evaluate_run

    keep_programs()
    evaluation = evaluate_run(
        parsed.run_dir,
        episodes=parsed.episodes,
        seed=parsed.seed,
        greedy=parsed.greedy,
        checkpoint=checkpoint,
    )
    print(json.dumps(evaluation.summary()))


def watch(arguments: Sequence[str]) -> None:
    """Film one episode of a trained policy, as GIF or MP4."""
    from opspo.film.command import watch as run

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
    for name, config in sorted(ALGORITHM_CONFIGS.items()):
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
    """Run a command; errors that the user can mend come without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        sys.exit(0 if arguments else USAGE_ERROR)
    command, *rest = arguments
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
    from opspo.runs import RunError
    from opspo.trainer import Interrupted, TrainingError

    if isinstance(error, Interrupted):
        return STOPPED
    if isinstance(error, RunError):
        return USAGE_ERROR
    return 1 if isinstance(error, TrainingError) else None


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
