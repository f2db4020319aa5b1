"""What a study says, as plain data: the claim, tables, failures; a report and the docs show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from opspo.config.changes import flat
from opspo.config.own import plain_settings
from opspo.experiments.aggregation import (
    Across,
    across,
    aggregate,
    improvements,
    known_interval,
)
from opspo.experiments.reading import Found
from opspo.experiments.records import FREE, Record
from opspo.experiments.statistics import (
    AGGREGATES,
    CONFIDENCE,
    FEW,
    RESAMPLES,
    Interval,
    interquartile_mean,
)
from opspo.experiments.task_scores import TaskScores

DIGITS = 3
CHOSEN = ("seed", "env", "algo", "total_steps", *FREE)
"""Settings that the grid or the place of a run decides, and no line"""


def summarise(found: Found) -> dict[str, Any]:
    """The figures of a study.

    Returns:
        `claim`, in one sentence; `aggregates` (line → statistic → [estimate, low, high]) of the
        lines that are for all tasks, and a `note` about the others; `pairs` ([line, other,
        estimate, low, high]), `tasks`, `settings` that differ between lines, `versions`,
        `machines`, `hours` of training, `seeds`, and `warnings`. A number that is not finite is
        None.
    """
    records, scores = found.records, found.scores
    whole = across(scores)
    aggregates = {
        line: {name: _plain(aggregate(each, whole, line)) for name, each in AGGREGATES.items()}
        for line in (whole.lines if whole.tasks else ())
    }
    pairs = []
    if whole.tasks:
        pairs = [[ours, theirs, *_plain(chance)] for ours, theirs, chance in improvements(whole)]
    seeds = {len(row) for task in scores for row in task.absolute.values()}
    return {
        "claim": claim(whole, aggregates, pairs),
        "aggregates": aggregates,
        "note": whole.note,
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
        "warnings": [*found.warnings, *_warnings(scores, whole, seeds)],
        "bootstrap": {"resamples": RESAMPLES, "confidence": CONFIDENCE},
    }


def claim(
    whole: Across,
    aggregates: Mapping[str, Mapping[str, Sequence[Any]]],
    pairs: Sequence[Sequence[Any]],
) -> str:
    """The result in one sentence, with its intervals.

    A line is said to be ahead of the next if its probability of improvement is above a half in
    all of its 95% interval, and each has at least `FEW` seeds on every task. In simulations of two
    lines that are equal, one is then said to be ahead in 9% of studies of one task and five seeds,
    7% of three tasks and five seeds, and 5 to 7% from six seeds on; with three lines in half as
    many. With two or three seeds it would be a tenth to a third.
    """
    if whole.why_empty:
        return f"{whole.why_empty}, so nothing can be said across tasks."
    over = f"over {len(whole.tasks)} task{'s' if len(whole.tasks) > 1 else ''}"
    known = [line for line in aggregates if aggregates[line]["IQM"][0] is not None]
    ranked = sorted(known, key=lambda line: -aggregates[line]["IQM"][0])
    if not ranked:
        return f"No line has a score in each of its runs {over}, so nothing can be said."
    best = ranked[0]
    reached = f"{best} reaches an interquartile mean of {_said(aggregates[best]['IQM'])} {over}"
    if len(ranked) == 1:
        return f"{reached}."
    second = ranked[1]
    ours, _, chance, low, high = next(pair for pair in pairs if set(pair[:2]) == {best, second})
    if ours != best:
        chance, low, high = (None if x is None else 1 - x for x in (chance, high, low))
    seeds = min(len(task.absolute[line]) for task in whole.tasks for line in (best, second))
    if seeds < FEW:
        head = f"{_seeds(seeds)} cannot say which line is ahead"
    else:
        head = f"{best} is ahead of {second}" if low > 0.5 else "No line is clearly ahead"
    return (
        f"{head}: {reached}, {second} {_said(aggregates[second]['IQM'])}, and a run of {best} "
        f"scores higher than one of {second} with probability {_said([chance, low, high])}."
    )


def differing_settings(records: Sequence[Record]) -> dict[str, dict[str, str]]:
    """Setting → line → its value, for settings in which lines differ on a task.

    Lines are compared on each task alone, and values are those of tasks on which they differ.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}  # task → line → setting → value
    for record in records:
        settings = flat(plain_settings(record.config))
        found.setdefault(record.task, {}).setdefault(record.line, {}).update(
            (name, str(value))
            for name, value in settings.items()
            if name.partition(".")[0] not in CHOSEN
        )
    differing: dict[str, dict[str, list[str]]] = {}
    for lines in found.values():
        for name in dict.fromkeys(name for settings in lines.values() for name in settings):
            if len({settings.get(name) for settings in lines.values()}) == 1:
                continue
            for line, settings in lines.items():
                values = differing.setdefault(name, {}).setdefault(line, [])
                if name in settings and settings[name] not in values:
                    values.append(settings[name])
    return {
        name: {line: " or ".join(values) for line, values in by_line.items() if values}
        for name, by_line in differing.items()
    }


def _task(task: TaskScores) -> dict[str, Any]:
    return {
        "task": task.task,
        "group": task.group,
        "metric": task.metric,
        "lines": {
            line: {
                "absolute": _plain(known_interval(interquartile_mean, [score])),
                "mean": _number(score.mean()),
                "seeds": [_number(x) for x in score],
            }
            for line, score in task.absolute.items()
        },
    }


def _warnings(scores: Sequence[TaskScores], whole: Across, seeds: set[int]) -> list[str]:
    found = [
        f"{line} has a run on {task.task} whose score is not a number. It is ranked last."
        for task in scores
        for line, score in task.absolute.items()
        if not np.isfinite(score).all()
    ]
    if min(seeds) < FEW:
        who = "Some lines have" if max(seeds) > min(seeds) else "Every line has"
        count = _seeds(min(seeds))
        found.append(f"{who} only {count}: too few for an interval to be trusted.")
    if len(seeds) > 1:
        found.append("Lines and tasks differ in their number of seeds.")
    return found + whole.gaps


def _seeds(count: int) -> str:
    return f"{count} seed{'s' if count > 1 else ''}"


def _number(x: Any) -> float | None:
    return round(float(x), DIGITS) if np.isfinite(x) else None


def _plain(found: Interval) -> list[float | None]:
    return [_number(x) for x in (found.estimate, found.low, found.high)]


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
