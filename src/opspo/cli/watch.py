"""`opspo watch`: one episode of a trained policy as a film."""

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
    """The film: a .gif or an .mp4. A file of that name is replaced."""
    seed: int = 0
    """Of the episode."""
    checkpoint: str = "latest"
    """`latest`, `best`, or an iteration."""
    greedy: bool = True
    """Take the most probable action (else sample)."""
    max_steps: int = 0
    """Stop there; 0 for the whole episode."""
    fps: int = 0
    """Steps shown in a second; 0 for what suits the environment."""


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
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
