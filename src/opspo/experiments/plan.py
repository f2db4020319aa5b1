"""What is left of a study: its jobs, each a process, and how far each has come."""

from __future__ import annotations

import itertools
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from opspo.environments import make_env
from opspo.errors import ConfigError
from opspo.experiments.grid import Run, folder_of
from opspo.experiments.records import film_of, is_finished, path_of
from opspo.experiments.study_file import StudyFile, seeds_of
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
        """The command line of the process, kept to a share of the cores.

        Its paths are absolute: on a cluster, it starts in another folder.
        """
        command = [sys.executable, "-m", "opspo.experiments.job", str(self.file.path.absolute())]
        command += ["--runs", str(self.places.runs.absolute())]
        command += ["--results", str(self.places.results.absolute())]
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


def films_left(file: StudyFile, runs: Sequence[Run], places: Places) -> list[Run]:
    """Finished runs that the study wants filmed and are not, and whose best policy is here."""
    if not file.study.films:
        return []
    first = seeds_of(file.study)[0]
    return [
        run
        for run in runs
        if run.seed == first
        and path_of(run, places.results).is_file()
        and not film_of(run, places.results).is_file()
        and RunFolder(folder_of(run, places.runs)).best.is_dir()
    ]


def film_jobs_of(file: StudyFile, runs: Sequence[Run], places: Places) -> list[Job]:
    """The jobs of the runs that have everything but their film, and can be filmed."""
    left = films_left(file, runs, places)
    drawn = {task for task in {run.task for run in left} if can_be_drawn(task)}
    return [Job(file, (run,), places) for run in left if run.task in drawn]


def can_be_drawn(task: str) -> bool:
    """Whether there is a renderer for an environment."""
    if find_spec("PIL") is None:
        return False
    from opspo.rendering.renderers import renderer_of  # noqa: PLC0415  (loads Pillow)

    try:
        renderer_of(make_env(task))
    except ConfigError:
        return False
    return True


def counted(count: int, what: str) -> str:
    """A number of things: `1 job`, `3 jobs`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


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
