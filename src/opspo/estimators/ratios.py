"""Ratios of probabilities between policies, kept as logarithms."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.estimators.normalise import masked_sums
from opspo.types import Array


def log_ratio(log_prob: Array, behaviour_log_prob: Array) -> Array:
    """log of one agent's ratio π̄^i / π^i for one action.

    Args:
        log_prob: [..., D] under the policy in question, for each dimension of the action.
        behaviour_log_prob: [..., D] under the policy that acted.

    Returns:
        [...] log of the mean over the dimensions of their ratios (the paper's choice for MA-MuJoCo;
        Section 5). With one dimension it is the plain log-ratio.
    """
    difference = log_prob - behaviour_log_prob
    return jax.nn.logsumexp(difference, axis=-1) - jnp.log(
        jnp.asarray(difference.shape[-1], difference.dtype)
    )


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
    return log_ratios @ before.astype(log_ratios.dtype)


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

    Never negative, and unbiased where r is the plain ratio (Schulman 2020, "Approximating KL
    divergence"). With several action dimensions r is the mean of their ratios (`log_ratio`), and
    this is the KL to that mixture, which is below the policy's own.
    """
    return jnp.expm1(log_ratio) - log_ratio
