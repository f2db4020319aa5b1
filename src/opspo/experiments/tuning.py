"""Fair tuning with Optuna: the same trials, tasks and seeds for every algorithm.

The record that is committed is JSON. Optuna's own file is only needed to continue.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from opspo.errors import ConfigError, RunError
from opspo.experiments.local import Processes, run_jobs
from opspo.experiments.plan import STOPPED, Job, Places
from opspo.experiments.trials import CarryOut, Search, open_search, record_of_search
from opspo.experiments.tuning_file import Tuning
from opspo.run_folder import RunFolder, hold, make_folder, replace_text

CONTENT = "tuning"
"""Attribute of a study in Optuna: what the scores of its trials depend on"""


def tune(tuning: Tuning, places: Places, carry_out: CarryOut) -> dict[str, Any]:
    """Carry out what is left of a tuning, and write its record.

    Args:
        tuning: the file.
        places: where runs and records go.
        carry_out: carries out jobs, and returns those that failed.

    Returns:
        The record: of each algorithm its best settings and every trial. Where every trial of an
        algorithm failed, its settings and its score are None.

    Raises:
        ConfigError: Optuna is not installed, or the file's content is not the one that the tuning
            began with.
        RunError: another process carries the tuning out, or a file cannot be read or written.
        Interrupted: a job was stopped. The tuning can continue.
    """
    study = tuning.base.study
    advice = "Choose others with --runs and --results."
    folder = make_folder(places.runs / study.name, advice=advice)
    out = make_folder(places.results / study.name, advice=advice) / "tuning.json"
    with hold(RunFolder(folder)):
        searches = _searches(tuning, places, carry_out, folder / "tuning.db")
        for search in searches:
            search.finish()
        record = {
            "trials": tuning.trials,
            "space": {choice.name: choice.plain for choice in tuning.space},
            "tasks": [task for group in study.groups for task in group.tasks],
            "seeds": study.seeds,
            "algorithms": {search.algo: record_of_search(search) for search in searches},
        }
        replace_text(out, json.dumps(record, indent=1) + "\n")
    return record


@dataclass
class _Noting(Processes):
    """Processes of jobs, with the exit status of each."""

    statuses: dict[str, int] = field(default_factory=dict)
    """By the job's name"""

    def carry(self, job: Job) -> int:
        """Carry out a job; return its exit status."""
        status = self.statuses[job.name] = super().carry(job)
        return status


def failed_here(jobs: Sequence[Job], *, workers: int, console: Console, title: str) -> list[Job]:
    """Carry out jobs on this machine; see `run_jobs`.

    Returns:
        The jobs that failed, without those that somebody else stopped: they can continue.
    """
    place = _Noting(workers)
    left = run_jobs(jobs, place, workers=workers, console=console, title=title)
    return [job for job in left if place.statuses.get(job.name) != STOPPED]


def _searches(tuning: Tuning, places: Places, carry_out: CarryOut, database: Path) -> list[Search]:
    """The trials of every algorithm, all checked before any is carried out."""
    try:
        import optuna  # noqa: PLC0415
        import sqlalchemy  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "opspo tune needs Optuna, which is not installed: pip install 'opspo[study]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{database.resolve()}")
        searches = [
            open_search(algo, tuning, places, carry_out, storage)
            for algo in tuning.base.study.algorithms
        ]
    except (optuna.exceptions.OptunaError, sqlalchemy.exc.SQLAlchemyError, RuntimeError) as error:
        raise RunError(
            f"{database} cannot be used as Optuna's file of trials: {error}. Restore it, or delete "
            "it and give the tuning another name."
        ) from error
    for search in searches:
        if CONTENT in search.study.user_attrs:
            tuning.check_unchanged(search.study.user_attrs[CONTENT])
        elif search.study.trials:
            raise RunError(
                f"{database} does not say what its trials were made with. Give the tuning another "
                "name."
            )
    for search in searches:
        search.study.set_user_attr(CONTENT, tuning.content)
    return searches
