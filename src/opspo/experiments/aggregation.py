"""What is aggregated over tasks: which lines and tasks, and who improves on whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opspo.errors import ConfigError
from opspo.experiments.statistics import Interval, Statistic, improvement, interval
from opspo.experiments.task_scores import TaskScores, lines_in, samples


@dataclass(frozen=True)
class Across:
    """The part of some scores that can be aggregated: every line here has runs on every task."""

    tasks: tuple[TaskScores, ...]
    lines: tuple[str, ...]
    """Those that are for all tasks"""
    partial: tuple[str, ...]
    """Lines that are meant for some of the tasks alone, and so left out"""
    incomplete: tuple[str, ...]
    """Tasks that lack runs of one of `lines`, and so are left out"""

    @property
    def why_empty(self) -> str:
        """Why nothing is left, as the start of a sentence; "" if something is."""
        if not self.lines:
            return "No line is for all tasks"
        return "" if self.tasks else "No task has runs of every line yet"

    def required(self) -> Across:
        """Itself.

        Raises:
            ConfigError: nothing is left.
        """
        if self.why_empty:
            raise ConfigError(
                f"{self.why_empty}, so tasks cannot be aggregated. Choose tasks or lines with "
                "--only."
            )
        return self

    @property
    def note(self) -> str:
        """A sentence about the lines that are left out; "" if there are none."""
        if not self.partial:
            return ""
        return (
            f"For some tasks alone, and so left out of the aggregates: {'; '.join(self.partial)}."
        )

    @property
    def gaps(self) -> list[str]:
        """A sentence for each task that is left out."""
        return [
            f"{task} lacks runs of some lines: it is left out of the aggregates."
            for task in self.incomplete
        ]


def across(scores: Sequence[TaskScores]) -> Across:
    """What of some scores can be aggregated.

    A line that is meant for some of the tasks alone is left out. One that is meant for all and
    lacks runs on a task excludes that task.
    """
    lines = [line for line in lines_in(scores) if all(line in task.meant for task in scores)]
    complete = [task for task in scores if lines and set(lines) <= set(task.absolute)]
    return Across(
        tasks=tuple(complete),
        lines=tuple(lines),
        partial=tuple(line for line in lines_in(scores) if line not in lines),
        incomplete=tuple(task.task for task in scores if lines and task not in complete),
    )


def known_interval(statistic: Statistic, scores: Sequence[np.ndarray]) -> Interval:
    """A statistic and its interval; NaN wherever a score is not finite.

    A trimmed mean alone would drop a NaN as if it were among the highest.

    Args:
        statistic: as in `statistics.interval`.
        scores: [n] or [n, ...] of each task.
    """
    lost = np.any([~np.isfinite(score).all(axis=0) for score in scores], axis=0)
    found = interval(statistic, [np.where(np.isfinite(score), score, 0) for score in scores])
    return Interval(*(np.where(lost, np.nan, x) for x in (found.estimate, found.low, found.high)))


def aggregate(statistic: Statistic, found: Across, line: str) -> Interval:
    """A statistic of a line's normalised scores over all tasks, and its interval."""
    return known_interval(statistic, samples(found.tasks, line))


def improvements(found: Across) -> list[tuple[str, str, Interval]]:
    """For every pair of lines: (line, other line, probability that a run of the first is higher).

    The first of a pair is the one that is more likely to. The probability is NaN if a score is.
    """
    drawn = {line: samples(found.tasks, line) for line in found.lines}
    pairs = []
    for i, ours in enumerate(found.lines):
        for theirs in found.lines[i + 1 :]:
            if np.isfinite(np.concatenate([*drawn[ours], *drawn[theirs]])).all():
                chance = improvement(drawn[ours], drawn[theirs])
            else:
                chance = Interval(np.nan, np.nan, np.nan)
            if chance.estimate < 0.5:
                turned = Interval(1 - chance.estimate, 1 - chance.high, 1 - chance.low)
                pairs.append((theirs, ours, turned))
            else:
                pairs.append((ours, theirs, chance))
    return pairs
