"""`opspo study`: run a study, or say how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from opspo.errors import ConfigError, RunError, unknown_name

if TYPE_CHECKING:
    from opspo.experiments.grid import Run
    from opspo.experiments.plan import Job, Places
    from opspo.experiments.study_file import StudyFile


@dataclass(frozen=True)
class _Where:
    """Which runs, and where their files are."""

    file: tyro.conf.Positional[str]
    """The study's file, such as `studies/smoke.toml`."""
    only: tuple[str, ...] = ()
    """Only runs that fit one of these patterns of tasks or lines, such as `smax/*`, `opspo*` or
    `smax/3m:opspo`. It takes all words up to the next flag, so give it after the file."""
    runs: str = "runs"
    """Folder for unfinished runs: checkpoints and logs."""
    results: str = "results"
    """Folder for the records of finished runs."""


@dataclass(frozen=True)
class _Status(_Where):
    """Show how far a study has come: finished runs, refused records, and steps done, by task and
    line."""


@dataclass(frozen=True)
class _Run(_Where):
    """Carry out a study: every run that has no record yet, several at a time.

    Runs that were stopped continue from their checkpoints. A run that fails does not stop the
    others. The exit status is 0 if every run is finished, 2 if some failed or were stopped, and 130
    after Ctrl-C, SIGTERM or SIGHUP. The runs are saved then; a second Ctrl-C ends them at once.
    """

    workers: int | None = None
    """Jobs at a time: by default 1 on this machine, where each has its share of the cores, and as
    many as there are on Ray or SLURM."""
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Only show the grid, and how long it will take."""
    trial: bool = True
    """Whether a dry run also times a short trial of each line."""
    ray: str = ""
    """Run on a Ray cluster: its address, or `auto`. Folders must be on storage that all nodes
    share."""
    slurm: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Run as a SLURM job array."""
    slurm_minutes: int = 240
    """Time limit of each SLURM job. A run that needs longer saves, and is queued again."""
    slurm_partition: str = ""
    """Partition for the SLURM jobs."""
    cpus: int = 1
    """Cores of each run on Ray or SLURM."""


def _open(parsed: _Where) -> tuple[StudyFile, list[Run], Places]:
    from opspo.experiments.grid import runs_of
    from opspo.experiments.plan import Places
    from opspo.experiments.study_file import read_study

    file = read_study(parsed.file)
    return file, runs_of(file, parsed.only), Places(Path(parsed.runs), Path(parsed.results))


def _run(arguments: Sequence[str]) -> None:
    """Carry out a study, or what is left of it."""
    parsed = tyro.cli(_Run, prog="opspo study run", args=arguments)
    for name in ("workers", "cpus", "slurm_minutes"):
        value = getattr(parsed, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name.replace('_', '-')} must be at least 1, but is {value}.")
    if parsed.ray and parsed.slurm:
        raise ConfigError("--ray and --slurm both say where to run. Leave one out.")
    file, runs, places = _open(parsed)
    from rich.console import Console

    from opspo.experiments.plan import counted, film_jobs_of, jobs_of
    from opspo.experiments.records import path_of
    from opspo.experiments.study_tables import print_grid

    console = Console()
    jobs = jobs_of(file, runs, places)
    if parsed.dry_run:
        workers = parsed.workers or (len(jobs) if parsed.ray or parsed.slurm else 1)
        print_grid(runs, jobs, places, console, workers=workers, trial=parsed.trial)
        return
    jobs += film_jobs_of(file, runs, places)
    left = _carry_out(parsed, jobs, console) if jobs else []
    finished = sum(path_of(run, places.results).is_file() for run in runs)
    console.print(
        f"{finished} of {len(runs)} runs are finished. Their records are in "
        f"{places.results / file.study.name}/",
        markup=False,
        highlight=False,
    )
    for job in left:
        console.print(f"\n{job.name}\n{job.why_it_failed}", markup=False, highlight=False)
    if left:
        raise RunError(
            f"{counted(len(left), 'job')} failed or stopped, for the reasons above. Run the study "
            "again to continue, after a fix where one is needed."
        )
    if finished < len(runs):
        raise RunError(
            f"No job failed, but there is no record of {counted(len(runs) - finished, 'run')} in "
            f"{places.results}. Is it the same folder on all machines? Run the study again."
        )


def _carry_out(parsed: _Run, jobs: Sequence[Job], console: object) -> list[Job]:
    """Carry out jobs where the flags say; return those that failed or were stopped."""
    from rich.console import Console

    from opspo.experiments.local import run_here, run_jobs

    assert isinstance(console, Console)
    if parsed.slurm:
        from opspo.experiments.slurm import queue, wait_for

        queued = queue(
            jobs,
            minutes=parsed.slurm_minutes,
            partition=parsed.slurm_partition,
            cpus=parsed.cpus,
            at_a_time=parsed.workers or 0,
        )
        return wait_for(jobs, queued, console)
    if parsed.ray:
        from opspo.experiments.cluster import Cluster

        with Cluster(parsed.ray, cpus=parsed.cpus) as cluster:
            return run_jobs(
                jobs,
                cluster,
                workers=parsed.workers or len(jobs),
                console=console,
                title=parsed.file,
            )
    return run_here(jobs, workers=parsed.workers or 1, console=console, title=parsed.file)


def _status(arguments: Sequence[str]) -> None:
    """How far a study has come, as a table."""
    parsed = tyro.cli(_Status, prog="opspo study status", args=arguments)
    _, runs, places = _open(parsed)
    from rich.console import Console

    from opspo.experiments.study_tables import print_status

    print_status(runs, places, Console())


STUDY: dict[str, Callable[[Sequence[str]], None]] = {"run": _run, "status": _status}


def command(arguments: Sequence[str]) -> None:
    """Run or show a study."""
    name, *rest = arguments or ("--help",)
    if name in ("-h", "--help"):
        lines = [f"  opspo study {name:8} {run.__doc__}" for name, run in STUDY.items()]
        print("\n".join([*lines, "", "`opspo study NAME --help` shows the settings."]))
        return
    if name not in STUDY:
        raise unknown_name("command of opspo study", name, STUDY)
    STUDY[name](rest)
