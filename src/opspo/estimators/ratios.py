"""Ratios of probabilities between policies, kept as logarithms."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.estimators.normalise import masked_sums
from opspo.estimators.products import product
from opspo.types import Array


def product_log_ratio(
    log_prob: Array, behaviour_log_prob: Array, dimensions: Array | None = None
) -> Array:
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


def mean_log_ratio(
    log_prob: Array, behaviour_log_prob: Array, dimensions: Array | None = None
) -> Array:
    """log of the mean over an action's dimensions of their ratios.

    OPSPO's choice for MA-MuJoCo (Section 5). It is no ratio of two policies' probabilities, save of
    a policy that changed one dimension, drawn at random; with one dimension it is the plain
    log-ratio.

    Args:
        log_prob, behaviour_log_prob, dimensions: as in `product_log_ratio`; at least one dimension
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


def others_log_ratio(log_ratios: Array, agents: Array) -> Array:
    """log of the joint ratio of all the other agents, for each of a group of agents.

    While agents are updated in turn with separate parameters, those still to come have ratio 1,
    so this is r^{i−1} of the preceding agents. With shared parameters everybody moves at every
    step, and it is the product over all j ≠ i under the current policy (erratum E9).

    Args:
        log_ratios: [..., N] of each agent, 0 where it is dead.
        agents: [K] int.

    Returns:
        [..., K].
    """
    return log_ratios.sum(axis=-1, keepdims=True) - log_ratios[..., agents]


def preceding_log_ratio(log_ratios: Array, agents: Array, rank: Array) -> Array:
    """log of the joint ratio of the agents before each one in the order (the paper's r^{i−1}).

    With shared parameters the other reading of erratum E9: those that come later have moved as
    well, and are left out.

    Args:
        log_ratios: [..., N] of each agent, 0 where it is dead.
        agents: [K] int.
        rank: [N] int, each agent's place in the order.

    Returns:
        [..., K].
    """
    before = rank[:, None] < rank[None, agents]
    return product(log_ratios, before.astype(log_ratios.dtype))


def effective_sample_size(log_weight: Array, mask: Array) -> Array:
    """(Σ w)² / (n Σ w²) over the samples of the mask, in (0, 1]: 1 where all weights are equal.

    Args:
        log_weight: log w; only differences count, so no weight overflows.
        mask: bool, of the same shape.
    """
    log_weight = jnp.where(mask, log_weight, -jnp.inf)
    largest = log_weight.max()
    weight = jnp.exp(log_weight - jnp.where(largest == -jnp.inf, 0, largest))
    total, squares, count = masked_sums([weight, weight**2], mask)
    squares = jnp.maximum(squares, jnp.finfo(weight.dtype).tiny)
    return total**2 / (jnp.maximum(count, 1) * squares)


def kl_from_log_ratio(log_ratio: Array) -> Array:
    """Per-sample estimate of KL(π ‖ π̄) from actions of π: r − 1 − log r.

    Never negative, and unbiased where r is the whole action's ratio, the product over its
    dimensions (Schulman 2020, "Approximating KL divergence").
    """
    return jnp.expm1(log_ratio) - log_ratio
