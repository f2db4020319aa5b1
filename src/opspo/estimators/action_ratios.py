"""The ratio of an action of several dimensions; the value of the setting `action_ratio` names one.

Ratios of probabilities between policies are kept as logarithms.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.types import Array


def product(log_prob: Array, behaviour_log_prob: Array, dimensions: Array | None = None) -> Array:
    """log of one agent's ratio π̄^i / π^i for one whole action: the product over its dimensions.

    Args:
        log_prob: [..., D] under the policy in question, for each dimension of the action.
        behaviour_log_prob: [..., D] under the policy that acted.
        dimensions: [..., D] bool, which are the agent's own; the others are padding and do not
            count. None: all are.

    Returns:
        [...].
    """
    return _own_difference(log_prob, behaviour_log_prob, dimensions, 0.0).sum(axis=-1)


def mean(log_prob: Array, behaviour_log_prob: Array, dimensions: Array | None = None) -> Array:
    """log of the mean over an action's dimensions of their ratios.

    OPSPO's choice for MA-MuJoCo (Section 5). It is no ratio of two policies' probabilities, save of
    a policy that changed one dimension, drawn at random; with one dimension it is the plain
    log-ratio.

    Args:
        log_prob, behaviour_log_prob, dimensions: as in `product`; at least one dimension
            is the agent's own.

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
