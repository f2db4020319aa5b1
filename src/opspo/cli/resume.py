"""`opspo resume`: a run is continued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from opspo.config import parse_processes


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
    processes: Annotated[str, tyro.conf.arg(aliases=["--hosts"])] = ""
    """As in `opspo train`; all of them have to see the folder."""


def command(arguments: Sequence[str]) -> None:
    """Continue a run from its latest checkpoint."""
    parsed = tyro.cli(_Resume, prog="opspo resume", args=arguments)

    from opspo.devices import keep_programs
    from opspo.training.trainer import resume as run

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
