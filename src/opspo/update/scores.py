"""How much there is to gain from each agent, for the orders that ask."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.estimators.normalise import masked_mean
from opspo.types import Array


def scores(advantage: Array, value: Array, alive: Array) -> Array:
    """How much there is to gain from each agent: mean |A / V| over its living steps (A2PO).

    With one central critic (M = 1) and a team reward the advantage is everybody's, and agents
    differ by when they were alive only; orders break ties at random.

    Args:
        advantage: [T, E, M].
        value: [T, E, M]; kept away from 0 by 1e-3.
        alive: [T, E, N].

    Returns:
        [N].
    """
    relative = jnp.abs(advantage) / jnp.maximum(jnp.abs(value), 1e-3)
    return jax.vmap(masked_mean, in_axes=-1)(jnp.broadcast_to(relative, alive.shape), alive)
