"""State weights ω(s) = d^{π̂^{i−1}}(s) / d^π(s) by step-wise importance sampling."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.types import Array


def steps_since_start(first: Array) -> Array:
    """Steps since the episode began, or since the batch began if the episode started earlier.

    Args:
        first: [T, E] bool, true on the first step of an episode.

    Returns:
        [T, E] int.
    """

    def step(age: Array, first: Array) -> tuple[Array, Array]:
        age = jnp.where(first, 0, age + 1)
        return age, age

    return jax.lax.scan(step, jnp.full(first.shape[1:], -1), first)[1]


def stepwise_wis(
    log_ratio: Array, first: Array, *, inclusive: bool = False, normaliser: str = "mean"
) -> Array:
    """Step-wise weighted importance sampling (Section 3.2), normalised to mean 1.

    ω_j(s_t) = Π_{k<t} r_{j,k} / Z_t, where the product is over the earlier steps of the episode and
    Z_t is the mean of the product over the trajectories j that have a sample t steps after their
    start. Two deviations from the paper as printed (erratum E6): Z_t is the mean, not the sum, so
    min(ω, 1) does not scale the objective by 1/m; and the product ends before t, since s_t does not
    depend on a_t. `inclusive` extends it to k = t and `normaliser="sum"` makes Z_t the sum, both as
    printed.

    The steps before the batch began are unknown: an episode cut there starts with ω = 1.

    Args:
        log_ratio: [T, E, K] log of the joint ratio.
        first: [T, E] bool, true on the first step of an episode.
        inclusive: whether the product includes step t.
        normaliser: `mean` or `sum`.

    Returns:
        [T, E, K].
    """
    length = first.shape[0]
    log_ratio = jnp.asarray(log_ratio)

    def step(total: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        log_ratio, first = now
        before = jnp.where(first[:, None], 0.0, total)
        after = before + log_ratio
        return after, after if inclusive else before

    _, log_weight = jax.lax.scan(step, jnp.zeros_like(log_ratio[0]), (log_ratio, first))

    age = steps_since_start(first).reshape(-1)
    flat = log_weight.reshape(age.shape[0], -1)
    largest = jax.ops.segment_max(flat, age, num_segments=length)
    weight = jnp.exp(flat - largest[age])
    count = jax.ops.segment_sum(jnp.ones_like(flat), age, num_segments=length)
    total = jax.ops.segment_sum(weight, age, num_segments=length)
    unit = {"mean": total / jnp.maximum(count, 1), "sum": total}[normaliser]
    return (weight / unit[age]).reshape(log_weight.shape)
