"""What records score: matrices over tasks, lines and seeds, normalised as the study says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opspo.errors import ConfigError
from opspo.evaluate import Evaluation
from opspo.experiments.records import Record
from opspo.experiments.statistics import Floats, normalised
from opspo.experiments.study_file import Group, Study

PER_EPISODE = {"return": "returns", "win": "wins", "length": "lengths"}
"""Metric → field of an `Evaluation` with its value in each episode"""


@dataclass(frozen=True)
class TaskScores:
    """The scores of all lines on one task."""

    task: str
    group: str
    metric: str
    steps: Floats
    """[K] environment steps of the evaluations"""
    curves: Mapping[str, Floats]
    """Line → mean over the episodes of each evaluation, in the metric's unit [n, K]"""
    absolute: Mapping[str, Floats]
    """Line → the absolute metric [n]"""
    low: float
    """The value that is normalised to 0"""
    high: float
    """The value that is normalised to 1"""
    meant: frozenset[str]
    """Lines that are for this task, whether they have runs or not"""

    def normalised(self, score: Any) -> Floats:
        """A score of this task, normalised."""
        return normalised(score, low=self.low, high=self.high)


def values(evaluation: Evaluation, metric: str) -> Floats:
    """A metric of each episode [episodes].

    Raises:
        ConfigError: the evaluation has no such metric.
    """
    found = (
        getattr(evaluation, PER_EPISODE[metric])
        if metric in PER_EPISODE
        else evaluation.outcomes.get(metric)
    )
    if found is None:
        known = [name for name in PER_EPISODE if name != "win" or evaluation.wins is not None]
        raise ConfigError(
            f"metric must be one of {', '.join([*known, *evaluation.outcomes])}, but is '{metric}'."
        )
    return np.asarray(found, float)


def default_metric(evaluation: Evaluation) -> str:
    """`win` where episodes are won or lost, else `return`."""
    return "return" if evaluation.wins is None else "win"


def scores_of(
    records: Iterable[Record],
    study: Study | None = None,
    meant: Mapping[str, Collection[str]] | None = None,
) -> list[TaskScores]:
    """The scores of records, task by task.

    Args:
        records: of one study, or of single runs.
        study: it says which metric counts and how it is normalised; without it, the metric is the
            default one, from 0 to 1 for wins and from the lowest to the highest score for others.
        meant: task → the lines intended for it; by default, every line for every task.

    Raises:
        ConfigError: the runs of a task were not evaluated at the same steps, or lack the metric.
    """
    by_task: dict[str, list[Record]] = {}
    for record in records:
        by_task.setdefault(record.task, []).append(record)
    groups = {task: group for group in (study.groups if study else ()) for task in group.tasks}
    every = {record.line for found in by_task.values() for record in found}
    return [
        _of_task(task, found, groups.get(task), frozenset(meant[task] if meant else every))
        for task, found in by_task.items()
    ]


def _of_task(
    task: str, records: Sequence[Record], group: Group | None, meant: frozenset[str]
) -> TaskScores:
    metric = (group.metric if group else "") or default_metric(records[0].score)
    steps = [at for at, _ in records[0].evaluations]
    curves: dict[str, list[Any]] = {}
    absolute: dict[str, list[Any]] = {}
    for record in records:
        if [at for at, _ in record.evaluations] != steps:
            raise ConfigError(
                f"{record.task}: {record.line} with seed {record.seed} was evaluated at other "
                f"steps than {records[0].line} with seed {records[0].seed}. Give them the same "
                "budget and the same evaluations."
            )
        curve = [values(found, metric).mean() for _, found in record.evaluations]
        curves.setdefault(record.line, []).append(curve)
        absolute.setdefault(record.line, []).append(values(record.score, metric).mean())
    low, high = group.normalise if group else _range(metric, curves)
    return TaskScores(
        task=task,
        group=group.name if group else "",
        metric=metric,
        steps=np.asarray(steps, float),
        curves={line: np.asarray(rows, float) for line, rows in curves.items()},
        absolute={line: np.asarray(row, float) for line, row in absolute.items()},
        low=low,
        high=high,
        meant=meant,
    )


def _range(metric: str, curves: Mapping[str, Sequence[Any]]) -> tuple[float, float]:
    if metric == "win":
        return 0.0, 1.0
    seen = np.concatenate([np.asarray(rows, float).ravel() for rows in curves.values()])
    seen = seen[np.isfinite(seen)]
    if not seen.size:
        return 0.0, 1.0
    low, high = float(seen.min()), float(seen.max())
    return low, high if high > low else low + 1.0


def lines_in(scores: Iterable[TaskScores]) -> list[str]:
    """The lines, in the order in which they come."""
    return list(dict.fromkeys(line for each in scores for line in each.absolute))


def samples(scores: Iterable[TaskScores], line: str) -> list[Floats]:
    """The normalised absolute metric of a line that has runs on all tasks, a task's [n] each."""
    return [each.normalised(each.absolute[line]) for each in scores]
