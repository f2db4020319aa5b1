"""`opspo eval`: play episodes with a trained policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from opspo.config import parse_checkpoint
from opspo.errors import ConfigError


@dataclass(frozen=True)
class _Eval:
    """Play episodes with a trained policy and print the outcome as JSON."""

    run_dir: str
    """Folder of the run."""
    episodes: int = 100
    """Episodes to play."""
    seed: int = 0
    """Seed of the episodes."""
    greedy: bool = True
    """Take the most probable action; otherwise sample."""
    checkpoint: str = "latest"
    """Which checkpoint: `latest`, `best`, or an iteration."""


def command(arguments: Sequence[str]) -> None:
    """Play episodes with a trained policy and print JSON."""
    parsed = tyro.cli(_Eval, prog="opspo eval", args=arguments)
    checkpoint = parse_checkpoint(parsed.checkpoint)
    if parsed.episodes < 1:
        raise ConfigError(f"--episodes must be at least 1, but is {parsed.episodes}.")
    if not 0 <= parsed.seed < 2**31:
        raise ConfigError(f"--seed must be from 0 to 2**31 - 1, but is {parsed.seed}.")

    from opspo.devices import keep_programs
    from opspo.training.evaluate_run import evaluate_run

    keep_programs()
    evaluation = evaluate_run(
        parsed.run_dir,
        episodes=parsed.episodes,
        seed=parsed.seed,
        greedy=parsed.greedy,
        checkpoint=checkpoint,
    )
    print(json.dumps(evaluation.summary()))
