"""Scaling of advantages, and running statistics of the value targets and of what is seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from opspo.types import Array, ValueStatistics


def masked_means(values: Mapping[str, Array], mask: Array) -> dict[str, Array]:
    """Means of some quantities over the samples of the mask; 0 if there are none.

    All are added up at once, with the number of samples: one message where the samples lie divided
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
        The three anew.
    """
    counts = mask.astype(x.dtype)
    new_count = counts.sum()
    safe = jnp.maximum(new_count, 1)
    new_mean = counts @ x / safe
    new_variance = counts @ jnp.square(x - new_mean[None, :]) / safe
    total = jnp.maximum(count + new_count, 1)
    share, step = new_count / total, new_mean - mean
    spread = (1 - share) * variance + share * new_variance + (1 - share) * share * step**2
    return mean + share * step, spread, count + new_count


def fresh_statistics() -> ValueStatistics:
    """Statistics of nothing yet: mean 0 and deviation 1."""
    return ValueStatistics(mean=jnp.zeros(()), mean_square=jnp.zeros(()), weight=jnp.zeros(()))


def update_statistics(
    statistics: ValueStatistics, target: Array, *, decay: float
) -> ValueStatistics:
    """Exponential moving averages of the target and of its square, over a whole batch."""
    old, new = decay, 1 - decay
    return ValueStatistics(
        mean=old * statistics.mean + new * target.mean(),
        mean_square=old * statistics.mean_square + new * (target**2).mean(),
        weight=old * statistics.weight + new,
    )


def mean_and_deviation(
    statistics: ValueStatistics, *, epsilon: float = 1e-2
) -> tuple[Array, Array]:
    """Mean and standard deviation, free of the bias towards the start; 0 and 1 at first.

    The variance is kept above `epsilon` squared, so that a constant target does not blow up.
    """
    empty = statistics.weight == 0
    weight = jnp.where(empty, 1.0, statistics.weight)
    mean = statistics.mean / weight
    variance = jnp.maximum(statistics.mean_square / weight - mean**2, epsilon**2)
    return mean, jnp.where(empty, 1.0, jnp.sqrt(variance))
