"""`opspo tune`: find good settings, with the same number of trials for every algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from opspo.errors import ConfigError, RunError

if TYPE_CHECKING:
    from opspo.experiments.plan import Job


@dataclass(frozen=True)
class _Tune:
    """Find good settings for each algorithm of a file, with Optuna.

    An interrupted tuning continues where it stopped. A trial whose runs fail counts as a trial, and
    has its reason in the record, which is `tuning.json` under the results.
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

    from opspo.experiments.plan import Places
    from opspo.experiments.trials import WHY
    from opspo.experiments.tuning import failed_here, tune
    from opspo.experiments.tuning_file import read_tuning

    tuning, console = read_tuning(parsed.file), Console()
    places = Places(Path(parsed.runs), Path(parsed.results))

    def carry_out(jobs: Sequence[Job]) -> Sequence[Job]:
        title = jobs[0].file.study.name if jobs else ""
        return failed_here(jobs, workers=parsed.workers, console=console, title=title)

    record = tune(tuning, places, carry_out)
    for algo, found in record["algorithms"].items():
        console.print(f"{algo}: {_said(found)}", markup=False, highlight=False)
    out = places.results / tuning.base.study.name / "tuning.json"
    console.print(f"The record is {out}", markup=False, highlight=False)
    for algo, found in record["algorithms"].items():
        if found["settings"] is None:
            raise RunError(
                f"Every trial of {algo} failed, the last one because:\n{found['trials'][-1][WHY]}\n"
                "Fix the cause and give the tuning another name: trials that failed are not "
                "repeated."
            )


def _said(found: dict[str, Any]) -> str:
    """The best settings of an algorithm, and how many trials failed."""
    failed = sum(trial["state"] == "failed" for trial in found["trials"])
    said = f"{failed} of {len(found['trials'])} trials failed"
    if found["settings"] is None:
        return said
    values = ", ".join(f"{name} = {value}" for name, value in found["settings"].items())
    return f"{found['score']:.3f} with {values}" + (f"; {said}" if failed else "")
