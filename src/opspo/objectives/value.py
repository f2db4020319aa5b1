"""The critic's loss."""

from __future__ import annotations

import jax.numpy as jnp
import optax

from opspo.types import Array


def clipped_value_loss(
    value: Array, old_value: Array, target: Array, *, clip: float, huber_delta: float
) -> Array:
    """The larger Huber loss of the plain and the clipped prediction (PPO's value clipping).

    max( huber(V − target), huber(V_old + clip(V − V_old, ±clip) − target) )

    Args:
        value: the critic's prediction, normalised.
        old_value: its prediction at collection, in the same unit.
        target: the value target, in the same unit.
        clip: bound on the change in the prediction; 0 for the plain loss.
        huber_delta: δ, the error at which the loss changes from quadratic to linear.

    Returns:
        The loss of each sample, in the common shape of the arguments.
    """
    loss = optax.huber_loss(value - target, delta=huber_delta)
    if clip == 0:
        return loss
    near = old_value + jnp.clip(value - old_value, -clip, clip)
    return jnp.maximum(loss, optax.huber_loss(near - target, delta=huber_delta))
