"""The potential gain from each agent, for the orders that use it."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.estimators.normalise import masked_mean
from opspo.types import Array


def scores(advantage: Array, value: Array, alive: Array) -> Array:
    """The potential gain from each agent: mean |A / V| over the steps it was alive (A2PO).

    With one central critic (M = 1) and a team reward, all agents share the advantage and differ
    only in when they were alive; orders break ties at random.

    Args:
        advantage: [T, E, M].
        value: [T, E, M]; |V| is taken as at least 1e-3.
        alive: [T, E, N] bool.

    Returns:
        [N].
    """
    relative = jnp.abs(advantage) / jnp.maximum(jnp.abs(value), 1e-3)
    return jax.vmap(masked_mean, in_axes=-1)(jnp.broadcast_to(relative, alive.shape), alive)
