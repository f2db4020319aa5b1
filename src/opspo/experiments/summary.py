"""What a study says, as plain data: the claim, tables, failures; a report and the docs show it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opspo.config.changes import flat
from opspo.config.own import plain_settings
from opspo.experiments.figures import improvements
from opspo.experiments.records import Record
from opspo.experiments.statistics import (
    AGGREGATES,
    CONFIDENCE,
    FEW,
    RESAMPLES,
    Interval,
    interquartile_mean,
    interval,
)
from opspo.experiments.task_scores import TaskScores, lines_in, samples

DIGITS = 3


def summarise(records: Sequence[Record], scores: Sequence[TaskScores]) -> dict[str, Any]:
    """The figures of a study.

    Returns:
        `claim`, in one sentence; `aggregates` (line → statistic → [estimate, low, high]), `pairs`
        ([line, other, estimate, low, high]), `tasks`, `settings` that differ between lines,
        `versions`, `machines`, `hours`, `seeds`, and `warnings`.
    """
    complete = _complete(scores)
    aggregates = {
        line: {
            name: _plain(interval(statistic, samples(complete, line)))
            for name, statistic in AGGREGATES.items()
        }
        for line in lines_in(complete)
    }
    pairs = [[ours, theirs, *_plain(found)] for ours, theirs, found in improvements(complete)]
    seeds = {len(row) for task in scores for row in task.absolute.values()}
    return {
        "claim": claim(aggregates, pairs, len(complete)),
        "aggregates": aggregates,
        "pairs": pairs,
        "tasks": [_task(task) for task in scores],
        "settings": differing_settings(records),
        "versions": _distinct(record.versions.get("packages", {}) for record in records),
        "machines": _distinct(record.versions.get("machine", {}) for record in records),
        "commits": sorted({str(record.versions.get("git_commit")) for record in records}),
        "hours": round(sum(record.seconds for record in records) / 3600, 2),
        "runs": len(records),
        "seeds": sorted(seeds),
        "normalisation": {task.task: [task.low, task.high] for task in scores},
        "warnings": _warnings(scores, complete, seeds),
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
    }


def claim(
    aggregates: dict[str, dict[str, list[float]]], pairs: Sequence[Sequence[Any]], tasks: int
) -> str:
    """The result in one sentence, with its intervals."""
    if not aggregates:
        return "No task has runs of every line yet, so nothing can be said across tasks."
    over = f"over {tasks} task{'s' if tasks > 1 else ''}"
    ranked = sorted(aggregates, key=lambda line: -aggregates[line]["IQM"][0])
    best = ranked[0]
    reached = f"{best} reaches an interquartile mean of {_said(aggregates[best]['IQM'])} {over}"
    if len(ranked) == 1:
        return f"{reached}."
    second = ranked[1]
    ours, _, chance, low, high = next(pair for pair in pairs if set(pair[:2]) == {best, second})
    if ours != best and low is not None:
        chance, low, high = 1 - chance, 1 - high, 1 - low
    ahead = low is not None and low > 0.5
    head = f"{best} is ahead of {second}" if ahead else "No line is clearly ahead"
    return (
        f"{head}: {reached}, {second} {_said(aggregates[second]['IQM'])}, and a run of {best} "
        f"scores higher than one of {second} with probability {_said([chance, low, high])}."
    )


def differing_settings(records: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Setting → line → its value, for settings in which lines differ on a task."""
    found: dict[str, dict[str, set[str]]] = {}
    for record in records:
        for name, value in flat(plain_settings(record.config)).items():
            if name.partition(".")[0] not in ("seed", "run_dir", "env", "algo", "total_steps"):
                found.setdefault(name, {}).setdefault(record.line, set()).add(str(value))
    lines = {record.line for record in records}
    return {
        name: {line: " or ".join(sorted(values)) for line, values in by_line.items()}
        for name, by_line in found.items()
        if len({frozenset(values) for values in by_line.values()}) > 1 or set(by_line) != lines
    }


def _complete(scores: Sequence[TaskScores]) -> list[TaskScores]:
    """The tasks that have runs of every line."""
    lines = set(lines_in(scores))
    return [task for task in scores if set(task.absolute) == lines]


def _task(task: TaskScores) -> dict[str, Any]:
    return {
        "task": task.task,
        "group": task.group,
        "metric": task.metric,
        "lines": {
            line: {
                "absolute": _plain(interval(interquartile_mean, [score])),
                "mean": round(float(score.mean()), DIGITS),
                "seeds": [round(float(x), DIGITS) for x in score],
            }
            for line, score in task.absolute.items()
        },
    }


def _warnings(
    scores: Sequence[TaskScores], complete: Sequence[TaskScores], seeds: set[int]
) -> list[str]:
    found = []
    if min(seeds) < FEW:
        count = f"{min(seeds)} seed{'s' if min(seeds) > 1 else ''}"
        found.append(f"Some lines have only {count}: too few for an interval to be trusted.")
    if len(seeds) > 1:
        found.append("Lines and tasks differ in their number of seeds.")
    for task in scores:
        if task not in complete:
            found.append(f"{task.task} lacks runs of some lines: it is left out of the aggregates.")
    return found


def _plain(found: Interval) -> list[Any]:
    values = (found.estimate, found.low, found.high)
    return [None if np.isnan(x) else round(float(x), DIGITS) for x in values]


def _said(found: Sequence[Any]) -> str:
    estimate, low, high = found
    if low is None:
        return f"{estimate:.2f} (no interval)"
    return f"{estimate:.2f} [{low:.2f}, {high:.2f}]"


def _distinct(found: Any) -> list[Any]:
    distinct: list[Any] = []
    for each in found:
        if each and each not in distinct:
            distinct.append(each)
    return distinct
