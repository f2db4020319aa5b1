"""`opspo resume`: continue a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from opspo.config import parse_processes


@dataclass(frozen=True)
class _Resume:
    """Continue a run from its latest checkpoint, exactly as if it had not stopped.

    The settings are those in its config.json. Do not change those that the checkpoint depends on
    (docs/runs.md lists them).
    """

    run_dir: str
    """Folder of the run."""
    checkpoint: int | None = None
    """Iteration to continue from; everything after it is dropped."""
    total_steps: int | None = None
    """Train to this many steps instead, even if the run has ended. Annealed step sizes then fall to
    0 at the new end: they continue from where a run of that length would be, so they rise first.
    Without annealing the result is that of a run of this length from the start."""
    devices: int | None = None
    """Number of devices to divide the environments over, if another than before."""
    processes: str = ""
    """As in `opspo train`; all processes must see the folder."""


def command(arguments: Sequence[str]) -> None:
    """Continue a run from its latest checkpoint."""
    parsed = tyro.cli(_Resume, prog="opspo resume", args=arguments)

    from opspo.devices import keep_programs
    from opspo.training.resuming import resume as run

    keep_programs()
    processes = parse_processes(parsed.processes)
    result = run(
        parsed.run_dir,
        checkpoint=parsed.checkpoint,
        devices=parsed.devices,
        total_steps=parsed.total_steps,
        processes=processes,
    )
    print(f"Done: {result.env_steps:,} steps. Everything is in {result.run_dir}/")
