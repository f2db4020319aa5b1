"""`opspo bench`: time an engine, an update, whole iterations, or all algorithms."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from opspo.config import RolloutConfig, TrainConfig, to_plain
from opspo.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from opspo.bench.measure import Timing
    from opspo.environments.base import Environment


@dataclass(frozen=True)
class _Engine:
    """The engine alone, with random available actions."""

    env: str = "smax/3s5z"
    """Environment id."""
    num_envs: int = 32
    """Environments stepped side by side."""
    num_steps: int = 100
    """Steps of each environment in a round."""
    rounds: int = 9
    """Number of timed rounds, after a first one that compiles."""
    out: str = ""
    """File for the results, as JSON."""


@dataclass(frozen=True)
class _Learning:
    """The speed of a run. Every setting of `opspo train` is a flag."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str = "default"
    """Start from these settings. Other flags override them."""
    rounds: int = 9
    """Number of timed rounds, after a first one that compiles."""
    out: str = ""
    """File for the results, as JSON."""


@dataclass(frozen=True)
class _Family:
    """One update of each algorithm and state weight on the same batch, alternating."""

    env: str = "smax/2s3z"
    """Environment id."""
    preset: str = "default"
    """Preset for the networks, the batch and the epochs."""
    epochs: int = 0
    """Passes over the batch, the same for all; 0 for those of HAPPO's preset."""
    rounds: int = 10
    """Number of timed rounds."""
    out: str = ""
    """File for the results, as JSON."""


def _engine(arguments: Sequence[str]) -> None:
    """The engine alone, with random actions."""
    parsed = tyro.cli(_Engine, prog="opspo bench env", args=arguments)
    _check(parsed.rounds, parsed.out)
    from opspo.bench.engine import time_engine
    from opspo.bench.results import print_summary, summary, write
    from opspo.environments import make_env

    sizes = RolloutConfig(num_envs=parsed.num_envs, num_steps=parsed.num_steps)
    timing = time_engine(make_env(parsed.env), sizes.num_envs, sizes.num_steps, parsed.rounds)
    found = summary(timing, steps=sizes.num_envs * sizes.num_steps)
    print_summary(f"The engine of {parsed.env}", found)
    settings = {"env": parsed.env, "num_envs": sizes.num_envs, "num_steps": sizes.num_steps}
    write(parsed.out, "env", settings, found)


def _update(arguments: Sequence[str]) -> None:
    """The learning of one iteration, on one batch."""
    parsed = _parse("update", arguments)
    from opspo.bench.training import time_update

    _learning("update", "One update", time_update, parsed)


def _train(arguments: Sequence[str]) -> None:
    """Whole iterations."""
    parsed = _parse("train", arguments)
    from opspo.bench.training import time_iterations

    _learning("train", "An iteration", time_iterations, parsed)


def _learning(
    name: str,
    title: str,
    measure: Callable[[TrainConfig, Environment, int], tuple[Timing, int]],
    parsed: _Learning,
) -> None:
    from opspo.bench.results import print_summary, summary, write
    from opspo.environments import make_env

    config = parsed.config
    timing, flop = measure(config, make_env(config.env), parsed.rounds)
    found = summary(timing, steps=config.steps_per_iteration, flop=flop)
    print_summary(f"{title} of {config.algo} on {config.env}", found)
    write(parsed.out, name, _settings(parsed), found)


def _parts(arguments: Sequence[str]) -> None:
    """Where the time of an iteration goes."""
    parsed = _parse("parts", arguments)
    from opspo.bench.measure import product_rate
    from opspo.bench.pieces import print_parts, time_parts
    from opspo.bench.results import write
    from opspo.environments import make_env

    config = parsed.config
    if config.devices != 1:
        raise ConfigError(
            f"devices must be 1 for `opspo bench parts`, but is {config.devices}: single "
            "parts are timed on one device. `opspo bench train` times whole iterations on several."
        )
    if config.rollout.groups != 1:
        raise ConfigError(
            f"rollout.groups must be 1 for `opspo bench parts`, but is {config.rollout.groups}: "
            "parts of several groups run at the same time. `opspo bench train` times the whole."
        )
    parts = time_parts(config, make_env(config.env), parsed.rounds)
    most = product_rate()
    print_parts(f"An iteration of {config.algo} on {config.env}", parts, most)
    found = {"parts": [dataclasses.asdict(part) for part in parts], "product_flop_per_second": most}
    write(parsed.out, "parts", _settings(parsed), found)


def _parse(name: str, arguments: Sequence[str]) -> _Learning:
    from opspo.cli.starting import starting_config
    from opspo.environments import check_id

    start, env = starting_config(arguments)
    check_id(env)
    default = _Learning(config=start)
    parsed = tyro.cli(_Learning, prog=f"opspo bench {name}", args=arguments, default=default)
    _check(parsed.rounds, parsed.out)
    from opspo.devices import claim

    claim(parsed.config.devices)
    return parsed


def _settings(parsed: _Learning) -> dict[str, Any]:
    return {"preset": parsed.preset, "config": to_plain(parsed.config)}


def _algos(arguments: Sequence[str]) -> None:
    """One update of each algorithm."""
    parsed = tyro.cli(_Family, prog="opspo bench algos", args=arguments)
    _check(parsed.rounds, parsed.out)
    if parsed.epochs < 0:
        raise ConfigError(f"--epochs must be 0 or more, but is {parsed.epochs}.")
    from opspo.bench.all_algorithms import compare_updates, print_costs
    from opspo.bench.results import write

    settings: dict[str, Any] = {
        "preset": parsed.preset,
        "epochs": parsed.epochs,
        "rounds": parsed.rounds,
    }
    costs = [
        cost
        for shared in (True, False)
        for cost in compare_updates(parsed.env, **settings, shared=shared)
    ]
    print_costs(parsed.env, costs)
    found = {"costs": [dataclasses.asdict(cost) for cost in costs]}
    write(parsed.out, "algos", {"env": parsed.env} | settings, found)


def _check(rounds: int, out: str) -> None:
    if rounds < 1:
        raise ConfigError(f"--rounds must be at least 1, but is {rounds}.")
    if out and not Path(out).parent.is_dir():
        raise ConfigError(f"{out} cannot be written: there is no folder {Path(out).parent}.")
    if out and Path(out).is_dir():
        raise ConfigError(f"{out} is a folder. Name a file in it.")


BENCHMARKS: dict[str, Callable[[Sequence[str]], None]] = {
    "env": _engine,
    "update": _update,
    "train": _train,
    "parts": _parts,
    "algos": _algos,
}


def command(arguments: Sequence[str]) -> None:
    """Run one of the `BENCHMARKS`."""
    name, *rest = arguments or ("--help",)
    if name in ("-h", "--help"):
        lines = [f"  opspo bench {name:8} {run.__doc__}" for name, run in BENCHMARKS.items()]
        print("\n".join([*lines, "", "`opspo bench NAME --help` shows the settings."]))
        return
    if name not in BENCHMARKS:
        raise unknown_name("benchmark", name, BENCHMARKS)
    BENCHMARKS[name](rest)
