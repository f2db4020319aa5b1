"""Directions that are estimated from samples: how near two of them are, and what is only noise.

A direction is a gradient or a change of parameters as one vector [P]. An estimate from one batch is
the expected direction plus noise. Two independent means of the same direction tell them apart,
because their noises are orthogonal on average.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def cosine(one: ArrayLike, other: ArrayLike) -> float:
    """The cosine of the angle between two vectors [P]; NaN if one of them is 0."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    size = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / size if size else math.nan


def precision(agreement: float) -> float:
    """The expected cosine of a mean with the true direction, from that of its two halves.

    Halves h = g + e with independent noise e have the cosine c = |g|² / (|g|² + |e|²), and their
    mean has the cosine √(2c / (1 + c)) with g (the formula of Spearman and Brown, under a root).

    Args:
        agreement: cosine of the halves' means.

    Returns:
        In [0, 1]; 0 for halves that do not agree at all.
    """
    return math.sqrt(2 * agreement / (1 + agreement)) if agreement > 0 else 0.0


@dataclass
class Mean:
    """The mean of vectors that come one by one, kept as two halves.

    The halves alternate; or, if it is known how many come, they are the first and the second half.
    That keeps them independent where vectors that follow each other are not: batches that are
    shorter than an episode share its fate.
    """

    total: int | None = None
    """How many come"""
    sums: list[Any] = field(default_factory=lambda: [0.0, 0.0])
    """Weighted sum of each half [P]"""
    weights: list[float] = field(default_factory=lambda: [0.0, 0.0])
    squares: float = 0.0
    """Sum of the vectors' squared norms"""
    count: int = 0

    def add(self, vector: ArrayLike, weight: float = 1.0) -> None:
        """Count a vector [P], with a weight such as its number of samples."""
        vector = np.asarray(vector, float)
        half = self.count % 2 if self.total is None else int(2 * self.count >= self.total)
        self.sums[half] = self.sums[half] + weight * vector
        self.weights[half] += weight
        self.squares += float(vector @ vector)
        self.count += 1

    @property
    def value(self) -> Floats:
        """The mean of all [P]."""
        total: Floats = (self.sums[0] + self.sums[1]) / sum(self.weights)
        return total

    @property
    def halves(self) -> tuple[Floats, Floats]:
        """The means of the two halves, [P] each."""
        first, second = (s / w for s, w in zip(self.sums, self.weights, strict=True))
        return first, second

    @property
    def agreement(self) -> float:
        """The cosine of the two halves; NaN before there are two vectors."""
        return cosine(*self.halves) if self.count > 1 else math.nan

    @property
    def precision(self) -> float:
        """The expected cosine of the mean of all with the expected vector."""
        return precision(self.agreement)

    @property
    def signal(self) -> float:
        """|g|² of the expected vector g, without bias: the product of the two halves."""
        first, second = self.halves
        return float(first @ second)

    @property
    def noise(self) -> float:
        """E|v − g|² / |g|² of a single vector v; NaN where the halves do not agree at all."""
        signal = self.signal
        return (self.squares / self.count - signal) / signal if signal > 0 else math.nan


def corrected_cosine(one: Mean, other: Mean) -> float:
    """The cosine of two expected directions, without what noise takes from it.

    The product of the means has no bias, and each |g|² is estimated from two halves
    (`Mean.signal`). So the estimate may exceed 1. NaN where one mean is nothing but noise.
    """
    if one.signal <= 0 or other.signal <= 0:
        return math.nan
    return float(one.value @ other.value) / math.sqrt(one.signal * other.signal)
