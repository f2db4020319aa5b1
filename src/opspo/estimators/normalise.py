"""Scaling of advantages, and running statistics of the value targets and of what is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from opspo.estimators.products import product
from opspo.types import Array, ValueStatistics


def masked_means(values: Mapping[str, Array], mask: Array) -> dict[str, Array]:
    """Means of some quantities over the samples of the mask; 0 if there are none.

    All are added up at once, with the number of samples: one message where the samples are divided
    over devices.

    Args:
        values: arrays of one shape and dtype.
        mask: bool, of the same shape.
    """
    *sums, count = masked_sums(list(values.values()), mask)
    return dict(zip(values, (each / jnp.maximum(count, 1) for each in sums), strict=True))


def masked_sums(values: Sequence[Array], mask: Array) -> Array:
    """Sums over the samples of the mask, and last the number of these, [n + 1].

    All in the dtype of the values, which in 32 bits counts exactly up to 16 million samples.
    """
    rows = jnp.stack(
        [*(jnp.where(mask, x, 0) for x in values), mask.astype(values[0].dtype)],
    )
    return rows.sum(axis=tuple(range(1, rows.ndim)))


def masked_mean(x: Array, mask: Array) -> Array:
    """Mean of x over the samples of the mask (bool, same shape); 0 if there are none."""
    return masked_means({"x": x}, mask)["x"]


def standardise(x: Array, mask: Array, *, epsilon: float = 1e-5) -> Array:
    """x scaled to zero mean and unit variance over the samples of the mask; 0 outside it."""
    total, count = masked_sums([x], mask)
    count = jnp.maximum(count, 1)
    centred = jnp.where(mask, x - total / count, 0)
    return centred / (jnp.sqrt((centred**2).sum() / count) + epsilon)


def merge_moments(
    mean: Array, variance: Array, count: Array, x: Array, mask: Array
) -> tuple[Array, Array, Array]:
    """Moments of all samples so far, from those of the earlier ones and a new batch (Chan et al.).

    Args:
        mean: [d] of the earlier samples.
        variance: [d], divided by their number.
        count: [] their number.
        x: [n, d] new samples.
        mask: [n] bool, which of them count.

    Returns:
        The three, updated.
    """
    counts = mask.astype(x.dtype)
    new_count = counts.sum()
    safe = jnp.maximum(new_count, 1)
    new_mean = product(counts, x) / safe
    new_variance = product(counts, jnp.square(x - new_mean[None, :])) / safe
    total = jnp.maximum(count + new_count, 1)
    share, step = new_count / total, new_mean - mean
    spread = (1 - share) * variance + share * new_variance + (1 - share) * share * step**2
    return mean + share * step, spread, count + new_count


def fresh_statistics(variance: float = 1.0) -> ValueStatistics:
    """Statistics of nothing yet: mean 0, and by default deviation 1."""
    zero = jnp.zeros(())
    return ValueStatistics(mean=zero, rest=zero, variance=zero + variance, weight=zero)


def update_statistics(
    statistics: ValueStatistics, target: Array, mask: Array | None = None, *, decay: float
) -> ValueStatistics:
    """Moments of all targets so far, each batch's share falling by `decay` with every later one.

    With w_b = decay^(age of batch b) these are the weighted mean and variance of all the targets,
    free of a bias towards the start. Everything is kept about the mean, so that an offset far
    larger than the deviation takes nothing away from it (E[x²] − E[x]² would: at an offset of 2,000
    a deviation of 1 is gone in 32 bits).

    Args:
        statistics: of the batches so far.
        target: any shape, one batch.
        mask: bool of that shape, which of them count; None: all. At least one does.
        decay: in [0, 1).
    """
    mask = jnp.ones_like(target, bool) if mask is None else mask
    near = masked_mean(target, mask)
    off = target - near
    # what rounding has left of the mean, and the mean square about it
    correction, square = masked_means({"off": off, "square": off**2}, mask).values()
    variance = square - correction**2

    old, new = decay * statistics.weight, 1 - decay
    share = new / (old + new)
    step = (near - statistics.mean) + (correction - statistics.rest)
    mean, rest = two_sum(statistics.mean, statistics.rest + share * step)
    spread = (1 - share) * statistics.variance + share * variance + share * (1 - share) * step**2
    return ValueStatistics(mean=mean, rest=rest, variance=spread, weight=old + new)


def from_raw_moments(mean: Array, mean_square: Array, weight: Array) -> ValueStatistics:
    """Statistics from decayed sums of means and of mean squares, as runs once kept them.

    Args:
        mean, mean_square, weight: Σ w_b E_b[x], Σ w_b E_b[x²], Σ w_b, of one shape.
    """
    seen = weight > 0
    total = jnp.where(seen, weight, 1.0)
    centre = mean / total
    variance = jnp.maximum(mean_square / total - centre**2, 0.0)
    return ValueStatistics(
        mean=centre,
        rest=jnp.zeros_like(centre),
        variance=jnp.where(seen, variance, 1.0),
        weight=weight,
    )


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b rounded, and exactly what rounding has taken away (Knuth 1969).

    Without the second a running mean stands still where its steps are below half a unit in its last
    place, however many there are.
    """
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def mean_and_deviation(
    statistics: ValueStatistics, *, epsilon: float = 1e-2
) -> tuple[Array, Array]:
    """Mean and standard deviation; 0 and 1 at first.

    The deviation is kept above `epsilon`, so that a constant target does not blow up.
    """
    return statistics.mean, jnp.sqrt(jnp.maximum(statistics.variance, epsilon**2))
