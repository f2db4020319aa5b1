"""A study's grid as tables: what there is to do, how long it will take, how far it has come."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from opspo.environments import make_env
from opspo.errors import RunError
from opspo.experiments.grid import Run
from opspo.experiments.plan import Job, Places, counted, done_steps
from opspo.experiments.records import is_finished, path_of, read_record

TRIAL_ITERATIONS = 2
"""Timed iterations of a trial, after a first that compiles"""


def print_grid(
    runs: Sequence[Run],
    jobs: Sequence[Job],
    places: Places,
    console: Console,
    *,
    workers: int,
    trial: bool,
) -> None:
    """Show tasks and lines with their steps, and the hours that they will take.

    A cell with a finished run takes as long as that one did; another is tried out for a moment.

    Args:
        runs: all of the study.
        jobs: of those that are left.
        places: where the records are.
        console: where to show it.
        workers: jobs at a time.
        trial: whether to say how long it will take.
    """
    cells = _cells(runs)
    ours = {
        cell[0].cell: [job for job in jobs if job.runs[0].cell == cell[0].cell] for cell in cells
    }
    seconds = _seconds(cells, ours, places, console) if trial else {}
    columns = ["task", "line", "steps", "evaluations", "runs", "left"]
    table = Table(*columns, *(["minutes a run"] if trial else []))
    for cell in cells:
        first = cell[0]
        left = sum(len(job.runs) for job in ours[first.cell])
        row = [first.task, first.line, f"{first.config.total_steps:,}"]
        row += [str(evaluations_of(first)), str(len(cell)), str(left)]
        if trial:
            row.append(f"{seconds[first.cell] / 60:.1f}" if first.cell in seconds else "")
        table.add_row(*map(Text, row))  # names are no markup
    console.print(table)
    seeds = len({run.seed for run in runs})
    console.print(
        f"{counted(len(runs), 'run')}: {counted(len(cells), 'cell')}, {counted(seeds, 'seed')}; "
        f"{counted(len(jobs), 'job')} left"
    )
    if trial and jobs:
        total = sum(len(job.runs) * seconds[job.runs[0].cell] for job in jobs)
        busy = min(workers, len(jobs))
        console.print(
            f"About {_duration(total / busy)} left with {counted(busy, 'job')} at a time, if each "
            "has the machine's speed of this trial, and without the evaluations."
        )


def evaluations_of(run: Run) -> int:
    """How often a run is evaluated while it trains."""
    return -(-run.config.total_steps // run.config.evaluation.every_steps)


def print_status(runs: Sequence[Run], places: Places, console: Console) -> None:
    """Show how many runs of each cell are finished, how far the others are, and what is refused."""
    table = Table("task", "line", "finished", "steps done")
    refused: list[str] = []
    for cell in _cells(runs):
        finished, done, torn = 0, 0, len(refused)
        for run in cell:
            try:
                finished += is_finished(run, places.results)
                done += done_steps(run, places)
            except RunError as error:
                refused.append(str(error))
        said = f"{finished} of {len(cell)}"
        if len(refused) > torn:
            said += f", {len(refused) - torn} refused"
        steps = sum(run.config.total_steps for run in cell)
        table.add_row(*map(Text, (cell[0].task, cell[0].line, said, f"{done / steps:.0%}")))
    console.print(table)
    for message in refused:
        console.print(message, markup=False, highlight=False, soft_wrap=True)


def _cells(runs: Sequence[Run]) -> list[list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.cell, []).append(run)
    return list(found.values())


def _seconds(
    cells: Sequence[Sequence[Run]],
    jobs: dict[str, list[Job]],
    places: Places,
    console: Console,
) -> dict[str, float]:
    """Cell → seconds of a run; cells of which nothing is left are not tried out."""
    found, untried = {}, []
    for cell in cells:
        done = [path for run in cell if (path := path_of(run, places.results)).is_file()]
        if done:
            found[cell[0].cell] = read_record(done[0]).seconds
        elif jobs[cell[0].cell]:
            untried.append(jobs[cell[0].cell][0])
    if untried:
        console.print(
            f"Trying out {counted(len(untried), 'cell')}, {1 + TRIAL_ITERATIONS} iterations each; "
            "--no-trial shows the grid alone."
        )
    for job in track(untried, "trials", console=console, disable=not untried):
        found[job.runs[0].cell] = _tried(job) / len(job.runs)
    return found


def _tried(job: Job) -> float:
    """Seconds of a job, from a few iterations of its first run.

    Seeds that share a program are trained one after another in it, and compiled once.
    """
    from opspo.bench.training import time_iterations  # noqa: PLC0415

    run = job.runs[0]
    timing, _ = time_iterations(run.config, make_env(run.task), TRIAL_ITERATIONS)
    iterations = len(job.runs) * run.config.iterations
    return timing.first_seconds + timing.median * (iterations - 1)


def _duration(seconds: float) -> str:
    """For people: `40 minutes`, `2.5 hours`."""
    if seconds < 3600:
        return f"{max(1, round(seconds / 60))} minutes are" if seconds > 90 else "1 minute is"
    return f"{seconds / 3600:.1f} hours are"
