"""The critic's loss."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from opspo.types import Array


def clipped_value_loss(
    value: Array, old_value: Array, target: Array, *, clip: float, huber_delta: float
) -> Array:
    """Huber loss, the larger of the plain and of the clipped prediction's (PPO's value clipping).

    max( huber(V − target), huber(V_old + clip(V − V_old, ±clip) − target) )

    Args:
        value: the critic's prediction, normalised.
        old_value: its prediction at collection, in the same unit.
        target: normalised value target.
        clip: bound on the move; 0 leaves the plain loss.
        huber_delta: δ, where the loss turns from quadratic to linear.

    Returns:
        The loss of each sample, in the common shape.
    """
    loss = optax.huber_loss(value - target, delta=huber_delta)
    if clip == 0:
        return loss
    near = old_value + jnp.clip(value - old_value, -clip, clip)
    return jnp.maximum(loss, optax.huber_loss(near - target, delta=huber_delta))
