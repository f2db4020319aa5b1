"""A study's grid as tables: what there is to do, how long it will take, how far it has come."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from opspo.environments import make_env
from opspo.experiments.grid import Run
from opspo.experiments.plan import Places, done_steps
from opspo.experiments.records import path_of, read_record
from opspo.experiments.study_file import StudyFile, seeds_of

TRIAL_ITERATIONS = 2
"""Timed iterations of a trial, after a first that compiles"""


def print_grid(
    file: StudyFile,
    runs: Sequence[Run],
    places: Places,
    console: Console,
    *,
    workers: int,
    trial: bool,
) -> None:
    """Show tasks and lines with their steps, and the hours that they will take.

    A cell with a finished run takes as long as that one did; another is tried out for a moment.
    """
    table = Table("task", "line", "steps", "runs", "left", *(["minutes a run"] if trial else []))
    total = 0.0
    for cell in _cells(runs):
        first = cell[0]
        left = [run for run in cell if not path_of(run, places.results).is_file()]
        row = [first.task, first.line, f"{first.config.total_steps:,}", str(len(cell))]
        row.append(str(len(left)))
        if trial:
            seconds = _seconds(cell, places)
            total += seconds * len(left)
            row.append(f"{seconds / 60:.1f}")
        table.add_row(*row)
    console.print(table)
    seeds = seeds_of(file.study)
    console.print(f"{len(runs)} runs: {len(_cells(runs))} cells, {len(seeds)} seeds")
    if trial:
        console.print(
            f"About {total / 3600 / workers:.1f} hours are left with --workers {workers}, if each "
            "has the machine's speed of this trial, and without the evaluations."
        )


def print_status(file: StudyFile, runs: Sequence[Run], places: Places, console: Console) -> None:
    """Show how many runs of each cell are finished, and how far the others are."""
    table = Table("task", "line", "finished", "steps done")
    for cell in _cells(runs):
        finished = sum(path_of(run, places.results).is_file() for run in cell)
        done = sum(done_steps(run, places) for run in cell)
        steps = sum(run.config.total_steps for run in cell)
        first = cell[0]
        table.add_row(first.task, first.line, f"{finished} of {len(cell)}", f"{done / steps:.0%}")
    console.print(table)


def _cells(runs: Sequence[Run]) -> list[list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.cell, []).append(run)
    return list(found.values())


def _seconds(cell: Sequence[Run], places: Places) -> float:
    """Of a run of a cell."""
    for run in cell:
        if (path := path_of(run, places.results)).is_file():
            return read_record(path).seconds
    return _tried(cell[0])


def _tried(run: Run) -> float:
    """Seconds of a run, from a few of its iterations."""
    from opspo.bench.training import time_iterations  # noqa: PLC0415

    timing, _ = time_iterations(run.config, make_env(run.task), TRIAL_ITERATIONS)
    return timing.first_seconds + timing.median * (run.config.iterations - 1)
