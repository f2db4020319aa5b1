"""A small tuning, and made-up records in place of training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import small_study

from opspo.experiments.plan import Job
from opspo.experiments.records import path_of, write_record

TEXT = small_study.TEXT.replace('"0..1"', "[0]")
SPACE = """
[space]
"algorithm.clip" = [0.15, 0.2]
"optimiser.actor_learning_rate" = {low = 1e-4, high = 1e-2, log = true}
"""


def tuning_at(folder: Path, *, trials: object = 5, space: str = SPACE, text: str = TEXT) -> Path:
    """The tuning, in a file of its own."""
    path = folder / "tune.toml"
    path.write_text(f"trials = {trials}\n{text}{space}")
    return path


def skilled(jobs: Sequence[Job]) -> list[Job]:
    """Records in place of training: skill is the step size, in hundredths."""
    for job in jobs:
        for run in job.runs:
            skill = 100 * run.config.optimiser.actor_learning_rate
            write_record(small_study.made_up(run, skill=skill), path_of(run, job.places.results))
    return []
