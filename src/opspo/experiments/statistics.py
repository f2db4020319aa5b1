"""Statistics over seeds and tasks that the field accepts, with bootstrap intervals.

After Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice",
and Gorsane et al. (2022). A sample is the normalised scores of one algorithm on one task, [n] for n
seeds or [n, …]. Intervals resample the seeds within each task (a stratified bootstrap); steps and
episodes are never resampled, since they are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Statistic = Callable[[Sequence[Floats]], Any]
"""(samples, each [..., n] for one task) → [...]"""

RESAMPLES = 2000
CONFIDENCE = 0.95
FEW = 5
"""Fewer seeds than this make no interval that can be trusted, and a figure says so"""


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval, each [] or [...]."""

    estimate: Any
    low: Any
    high: Any


def normalised(score: Any, *, low: float, high: float) -> Floats:
    """(score − low) / (high − low), elementwise; not clipped."""
    return (np.asarray(score, float) - low) / (high - low)


def pooled(samples: Sequence[Floats]) -> Floats:
    """All scores of all tasks, along the last axis."""
    return np.concatenate(samples, axis=-1)


def interquartile_mean(samples: Sequence[Floats]) -> Any:
    """IQM: the mean of the middle half of all scores, over tasks and seeds."""
    from scipy import stats  # noqa: PLC0415  (a third of a second, which the command line saves)

    return stats.trim_mean(pooled(samples), 0.25, axis=-1)


def mean(samples: Sequence[Floats]) -> Any:
    """The mean over tasks of the mean over seeds."""
    return np.mean([sample.mean(axis=-1) for sample in samples], axis=0)


def median(samples: Sequence[Floats]) -> Any:
    """The median over tasks of the mean over seeds."""
    return np.median([sample.mean(axis=-1) for sample in samples], axis=0)


def optimality_gap(samples: Sequence[Floats], *, target: float = 1.0) -> Any:
    """By how much scores fall short of a target on average; what exceeds it does not count."""
    return np.maximum(target - pooled(samples), 0).mean(axis=-1)


AGGREGATES: dict[str, Statistic] = {
    "IQM": interquartile_mean,
    "median": median,
    "mean": mean,
    "optimality gap": optimality_gap,
}


def probability_of_improvement(ours: Sequence[Floats], theirs: Sequence[Floats]) -> Any:
    """P(X > Y) + P(X = Y) / 2 for a run X of ours and Y of theirs on a task, mean over tasks.

    Each is the statistic U of Mann and Whitney over the number of pairs.
    """
    tasks = []
    for x, y in zip(ours, theirs, strict=True):
        more = (x[..., :, None] > y[..., None, :]).mean(axis=(-2, -1))
        same = (x[..., :, None] == y[..., None, :]).mean(axis=(-2, -1))
        tasks.append(more + same / 2)
    return np.mean(tasks, axis=0)


def interval(
    statistic: Statistic,
    samples: Sequence[Floats],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """A statistic and its percentile interval by the stratified bootstrap.

    Args:
        statistic: of samples [..., n], one a task.
        samples: [n] or [n, ...] of each task; further axes (steps, say) are kept, and their scores
            resampled together.
        seed: of the resampling.
        resamples: how many.
        confidence: of the interval.

    Returns:
        The interval is NaN where a task has a single seed.
    """
    from scipy import stats  # noqa: PLC0415

    last = [np.moveaxis(np.asarray(sample, float), 0, -1) for sample in samples]
    estimate = np.asarray(statistic(last))
    if min(sample.shape[-1] for sample in last) < 2:
        unknown = np.full_like(estimate, np.nan)
        return Interval(estimate, unknown, unknown)
    found = stats.bootstrap(
        last,
        lambda *drawn, axis: statistic(drawn),
        n_resamples=resamples,
        axis=-1,
        vectorized=True,
        paired=False,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(estimate, np.asarray(found.low), np.asarray(found.high))


def improvement(ours: Sequence[Floats], theirs: Sequence[Floats], **options: Any) -> Interval:
    """The probability of improvement with its interval; both sides are resampled."""
    count = len(ours)
    return interval(
        lambda both: probability_of_improvement(both[:count], both[count:]),
        [*ours, *theirs],
        **options,
    )


def profile(samples: Sequence[Floats], thresholds: Floats, **options: Any) -> Interval:
    """Performance profile: the share of scores above each threshold, mean over tasks, each [K]."""
    above = [np.asarray(sample)[:, None] > thresholds for sample in samples]
    return interval(mean, [each.astype(float) for each in above], **options)
