"""Normalising advantages, and running statistics of value targets and observations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from opspo.estimators.products import product
from opspo.types import Array, ValueStatistics


def masked_means(values: Mapping[str, Array], mask: Array) -> dict[str, Array]:
    """Means of several quantities over the samples in the mask; 0 if there are none.

    All are summed together, with the number of samples. That takes a single message if samples are
    divided over devices.

    Args:
        values: arrays of the same shape and dtype, by name.
        mask: bool, of that shape.

    Returns:
        Means [], by name.
    """
    *sums, count = masked_sums(list(values.values()), mask)
    return dict(zip(values, (each / jnp.maximum(count, 1) for each in sums), strict=True))


def masked_sums(values: Sequence[Array], mask: Array) -> Array:
    """Sums of n arrays over the samples in the mask, then the number of samples: [n + 1].

    All are in the dtype of the values; 32 bits count exactly up to 16 million samples.

    Args:
        values: n arrays of the same shape and dtype.
        mask: bool, of that shape.
    """
    rows = jnp.stack(
        [*(jnp.where(mask, x, 0) for x in values), mask.astype(values[0].dtype)],
    )
    return rows.sum(axis=tuple(range(1, rows.ndim)))


def masked_mean(x: Array, mask: Array) -> Array:
    """Mean [] of x over the samples in the mask (bool, same shape); 0 if there are none."""
    return masked_means({"x": x}, mask)["x"]


def standardise(x: Array, mask: Array, *, epsilon: float = 1e-5) -> Array:
    """Scale x to zero mean and unit variance over the samples in the mask; 0 outside it.

    Args:
        x: any shape.
        mask: bool, of that shape.
        epsilon: added to the standard deviation.

    Returns:
        An array of the shape of `x`.
    """
    total, count = masked_sums([x], mask)
    count = jnp.maximum(count, 1)
    centred = jnp.where(mask, x - total / count, 0)
    return centred / (jnp.sqrt((centred**2).sum() / count) + epsilon)


def merge_moments(
    mean: Array, variance: Array, count: Array, x: Array, mask: Array
) -> tuple[Array, Array, Array]:
    """Update the moments of earlier samples with a new batch (Chan et al.).

    Args:
        mean: [d] of the earlier samples.
        variance: [d] of the earlier samples, with division by their number.
        count: [] number of earlier samples.
        x: [n, d] new samples.
        mask: [n] bool, true for those that count.

    Returns:
        Mean [d], variance [d] and number [] of all samples.
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
    """Statistics before any target: mean 0, the given variance and weight 0."""
    zero = jnp.zeros(())
    return ValueStatistics(mean=zero, rest=zero, variance=zero + variance, weight=zero)


def update_statistics(
    statistics: ValueStatistics, target: Array, mask: Array | None = None, *, decay: float
) -> ValueStatistics:
    """Update the running moments with a batch; each later batch reduces its weight by `decay`.

    With w_b = decay^(age of batch b), these are the weighted mean and variance of all targets,
    without bias towards the start. Everything is kept relative to the mean, so an offset much
    larger than the standard deviation costs no precision (with E[x²] − E[x]² it would: in 32 bits,
    an offset of 2,000 swallows a deviation of 1).

    Args:
        statistics: of the batches so far.
        target: one batch, any shape.
        mask: bool of that shape, true for targets that count, at least one; None: all count.
        decay: in [0, 1).
    """
    mask = jnp.ones_like(target, bool) if mask is None else mask
    near = masked_mean(target, mask)
    off = target - near
    # the rounding error of the mean, and the mean square about it
    correction, square = masked_means({"off": off, "square": off**2}, mask).values()
    variance = square - correction**2

    old, new = decay * statistics.weight, 1 - decay
    share = new / (old + new)
    step = (near - statistics.mean) + (correction - statistics.rest)
    mean, rest = two_sum(statistics.mean, statistics.rest + share * step)
    spread = (1 - share) * statistics.variance + share * variance + share * (1 - share) * step**2
    return ValueStatistics(mean=mean, rest=rest, variance=spread, weight=old + new)


def from_raw_moments(mean: Array, mean_square: Array, weight: Array) -> ValueStatistics:
    """Statistics from decayed sums of means and mean squares, which older runs stored.

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
    """a + b, rounded, and its exact rounding error (Knuth 1969).

    Without the error term, a running mean would stop moving once its steps are smaller than half a
    unit in its last place, however many there are.
    """
    total = a + b
    of_b = total - a
    return total, (a - (total - of_b)) + (b - of_b)


def mean_and_deviation(
    statistics: ValueStatistics, *, epsilon: float = 1e-2
) -> tuple[Array, Array]:
    """Mean [] and standard deviation [] of the targets; 0 and 1 for `fresh_statistics()`.

    The deviation is at least `epsilon`, so that dividing a constant target by it does not blow up.
    """
    return statistics.mean, jnp.sqrt(jnp.maximum(statistics.variance, epsilon**2))
