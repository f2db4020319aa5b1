"""`opspo resume` and `opspo eval`: what is done with a run that is there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from opspo.config import parse_checkpoint, parse_processes
from opspo.errors import ConfigError


@dataclass(frozen=True)
class _Resume:
    """Continue a run from its latest checkpoint, exactly as if it had not stopped.

    The settings are those of its config.json. Those that the checkpoint depends on must not be
    changed there (docs/runs.md lists them).
    """

    run_dir: str
    """Folder of the run."""
    checkpoint: int | None = None
    """Iteration to continue from; what came after it is dropped."""
    total_steps: int | None = None
    """Continue to this many steps instead, even after the end. Annealed step sizes then fall to 0
    at the new end: they go on from where a run of that length would be, so they rise again. With
    none annealed, it is the run that had this length from the start."""
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


def resume(arguments: Sequence[str]) -> None:
    """Continue a run from its latest checkpoint."""
    parsed = tyro.cli(_Resume, prog="opspo resume", args=arguments)

    from opspo.devices import keep_programs
    from opspo.training.trainer import resume as run

    keep_programs()
    hosts = parse_processes(parsed.hosts)
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
    from opspo.training.trainer import evaluate_run

    keep_programs()
    evaluation = evaluate_run(
        parsed.run_dir,
        episodes=parsed.episodes,
        seed=parsed.seed,
        greedy=parsed.greedy,
        checkpoint=checkpoint,
    )
    print(json.dumps(evaluation.summary()))
