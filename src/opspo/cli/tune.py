"""`opspo tune`: find good settings, with the same number of trials for every algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from opspo.errors import ConfigError

if TYPE_CHECKING:
    from opspo.experiments.plan import Job


@dataclass(frozen=True)
class _Tune:
    """Find good settings for each algorithm of a file, with Optuna.

    An interrupted tuning continues where it stopped. Its record is `tuning.json` under the results.
    """

    file: tyro.conf.Positional[str]
    """The tuning's file: a study's, with `trials` and a table `[space]`."""
    workers: int = 1
    """Runs of a trial at a time."""
    runs: str = "runs"
    """Folder for unfinished runs, and for Optuna's SQLite file."""
    results: str = "results"
    """Folder for the records."""


def command(arguments: Sequence[str]) -> None:
    """Find good settings for each algorithm."""
    parsed = tyro.cli(_Tune, prog="opspo tune", args=arguments)
    if parsed.workers < 1:
        raise ConfigError(f"--workers must be at least 1, but is {parsed.workers}.")
    from rich.console import Console

    from opspo.experiments.local import run_here
    from opspo.experiments.plan import Places
    from opspo.experiments.tuning import read_tuning, tune

    tuning, console = read_tuning(parsed.file), Console()
    places = Places(Path(parsed.runs), Path(parsed.results))

    def carry_out(jobs: Sequence[Job]) -> Sequence[Job]:
        title = jobs[0].file.study.name if jobs else ""
        return run_here(jobs, workers=parsed.workers, console=console, title=title)

    record = tune(tuning, places, carry_out)
    for algo, found in record["algorithms"].items():
        best = ", ".join(f"{name} = {value}" for name, value in found["settings"].items())
        console.print(f"{algo}: {found['score']:.3f} with {best}", markup=False, highlight=False)
    out = places.results / tuning.base.study.name / "tuning.json"
    console.print(f"The record is {out}", markup=False, highlight=False)
