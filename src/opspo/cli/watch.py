"""`opspo watch`: film one episode of a trained policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from opspo.config import parse_checkpoint


@dataclass(frozen=True)
class _Watch:
    """Film one episode of a trained policy."""

    run_dir: str
    """Folder of the run."""
    out: str = "episode.gif"
    """File for the film, .gif or .mp4. An existing file is replaced."""
    seed: int = 0
    """Seed of the episode."""
    checkpoint: str = "latest"
    """Which checkpoint: `latest`, `best`, or an iteration."""
    greedy: bool = True
    """Take the most probable action; otherwise sample."""
    max_steps: int = 0
    """Steps to film at most; 0 for the whole episode."""
    fps: int = 0
    """Steps shown per second; 0 for a rate that suits the environment."""


def command(arguments: Sequence[str]) -> None:
    """Film one episode of a trained policy."""
    parsed = tyro.cli(_Watch, prog="opspo watch", args=arguments)
    checkpoint = parse_checkpoint(parsed.checkpoint)

    from opspo.rendering.film import watch as film

    tally = film(
        parsed.run_dir,
        parsed.out,
        seed=parsed.seed,
        checkpoint=checkpoint,
        greedy=parsed.greedy,
        max_steps=parsed.max_steps,
        fps=parsed.fps,
    )
    print(f"{parsed.out}: {tally.step} steps, return {tally.total:.2f}, {tally.ending}")
