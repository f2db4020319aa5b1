"""The ratio of an action with several dimensions; the setting `action_ratio` names a function here.

Ratios of probabilities between policies are kept as logarithms.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.types import Array


def product(log_prob: Array, behaviour_log_prob: Array, dimensions: Array | None = None) -> Array:
    """Log of one agent's ratio π̄^i / π^i for a whole action: the product over its dimensions.

    Args:
        log_prob: [..., D] log-probability of each dimension under the policy in question.
        behaviour_log_prob: [..., D] the same under the policy that acted.
        dimensions: [..., D] bool, true for the agent's own; the others are padding and are not
            counted. None: all are its own.

    Returns:
        [...].
    """
    return _own_difference(log_prob, behaviour_log_prob, dimensions, 0.0).sum(axis=-1)


def mean(log_prob: Array, behaviour_log_prob: Array, dimensions: Array | None = None) -> Array:
    """Log of the mean of the ratios of an action's dimensions.

    This is OPSPO's choice for MA-MuJoCo (Section 5). It is not a ratio of two policies'
    probabilities, except for a policy that changes one dimension, drawn at random. With one
    dimension it is the plain log-ratio.

    Args:
        log_prob, behaviour_log_prob, dimensions: as in `product`; at least one dimension
            must be the agent's own.

    Returns:
        [...].
    """
    difference = _own_difference(log_prob, behaviour_log_prob, dimensions, -jnp.inf)
    own = jnp.ones_like(difference, bool) if dimensions is None else dimensions
    count = own.astype(difference.dtype).sum(axis=-1)
    return jax.nn.logsumexp(difference, axis=-1) - jnp.log(count)


def _own_difference(
    log_prob: Array, behaviour_log_prob: Array, dimensions: Array | None, padding: float
) -> Array:
    difference = log_prob - behaviour_log_prob
    return difference if dimensions is None else jnp.where(dimensions, difference, padding)
