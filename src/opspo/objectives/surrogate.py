"""The one clipped surrogate that all the algorithms maximise."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.types import Array


def clipped_surrogate(
    log_ratio: Array, advantage: Array, weight: Array, low: Array, high: Array
) -> Array:
    """w · min(r A, clip(r, low, high) A) for each sample; maximise its mean.

    OPSPO's Eq. 20 has this form with w = r̃ ω̃, since both are positive and can leave the minimum
    and the clip. So have CoPPO and A2PO with w = g and the range (1 ± ε) / g, HAPPO with
    w = r^{i−1}, and PPO with w = 1.

    Args:
        log_ratio: log r^i of the agent's own ratio; the only argument to be differentiated.
        advantage: of the sample.
        weight: non-negative.
        low, high: ends of the clip range, low ≤ high.

    Returns:
        The objective of each sample, in the common shape.
    """
    ratio = jnp.exp(log_ratio)
    return weight * jnp.minimum(ratio * advantage, jnp.clip(ratio, low, high) * advantage)


def is_clipped(log_ratio: Array, advantage: Array, low: Array, high: Array) -> Array:
    """Whether the clip holds back a sample, so that it has no gradient."""
    ratio = jnp.exp(log_ratio)
    return jnp.where(advantage > 0, ratio > high, (ratio < low) & (advantage < 0))
