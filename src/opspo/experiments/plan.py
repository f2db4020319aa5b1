"""What is left of a study: its jobs, each a process, and how far each has come."""

from __future__ import annotations

import itertools
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opspo.experiments.grid import Run, folder_of
from opspo.experiments.records import is_finished, path_of
from opspo.experiments.study_file import StudyFile
from opspo.run_folder import RunFolder

TAIL = 20_000
"""Bytes in which a metrics file has its last row"""


@dataclass(frozen=True)
class Places:
    """Where a study's files go."""

    runs: Path
    """Folders of unfinished runs: checkpoints, logs"""
    results: Path
    """Records"""


STOPPED = 75
"""Exit status of a job that was asked to stop and has saved: try again later (EX_TEMPFAIL)"""


@dataclass(frozen=True)
class Job:
    """Runs that one process carries out: one, or several seeds of one line on one task."""

    file: StudyFile
    runs: tuple[Run, ...]
    places: Places

    @property
    def name(self) -> str:
        """For people: `smax/3m opspo, no AEC: seed 0`."""
        seeds = ", ".join(str(run.seed) for run in self.runs)
        several = "s" if len(self.runs) > 1 else ""
        return f"{self.runs[0].task} {self.runs[0].line}: seed{several} {seeds}"

    @property
    def log(self) -> Path:
        """File for what the process prints."""
        first = self.runs[0]
        return self.places.runs / first.study / first.cell / f"seed{first.seed}.log"

    def command(self, share: Sequence[int] = ()) -> list[str]:
        """The command line of the process, kept to a share of the cores."""
        command = [sys.executable, "-m", "opspo.experiments.job", str(self.file.path)]
        command += ["--runs", str(self.places.runs), "--results", str(self.places.results)]
        if share:
            command += ["--cores", ",".join(map(str, share))]
        return [*command, *(run.name for run in self.runs)]

    @property
    def steps(self) -> int:
        """Environment steps of all its runs."""
        return sum(run.config.total_steps for run in self.runs)

    @property
    def done_steps(self) -> int:
        """Those that are done."""
        return sum(done_steps(run, self.places) for run in self.runs)

    @property
    def why_it_failed(self) -> str:
        """The end of what the process printed."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.is_file() else []
        said = "\n".join(lines[-12:]) or "It printed nothing."
        return f"{said}\nAll of it is in {shlex.quote(str(self.log))}"


@dataclass(frozen=True)
class Unfinished:
    """A job whose runs have no record yet."""

    name: str
    done: float
    """Share of its steps"""
    log: str
    """The end of what it printed; nothing if it has not started"""


def unfinished(jobs: Sequence[Job]) -> list[Unfinished]:
    """How far jobs have come, and what they said last."""
    return [
        Unfinished(
            job.name, job.done_steps / job.steps, job.why_it_failed if job.log.is_file() else ""
        )
        for job in jobs
    ]


def jobs_of(file: StudyFile, runs: Sequence[Run], places: Places) -> list[Job]:
    """The jobs of the runs that have no record yet, in the order of the study.

    Raises:
        RunError: a record was made with other settings, or cannot be read.
    """
    left = [run for run in runs if not is_finished(run, places.results)]
    size = file.study.seeds_per_process
    return [
        Job(file, tuple(group[i : i + size]), places)
        for _, cell in itertools.groupby(left, key=lambda run: run.cell)
        for group in [list(cell)]
        for i in range(0, len(group), size)
    ]


def done_steps(run: Run, places: Places) -> int:
    """Environment steps that a run has done."""
    if path_of(run, places.results).is_file():
        return run.config.total_steps
    metrics = RunFolder(folder_of(run, places.runs)).metrics
    if not metrics.is_file():
        return 0
    with metrics.open("rb") as file:  # its end alone: this is asked every second
        file.seek(max(0, metrics.stat().st_size - TAIL))
        found = re.findall(rb'"env_steps": (\d+)', file.read())
    return int(found[-1]) if found else 0
