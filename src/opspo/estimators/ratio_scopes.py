"""Whose ratios count; the settings `trace_agents` and `weight_agents` name functions here."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.estimators.products import product
from opspo.types import Array


def others(log_ratios: Array, agents: Array) -> Array:
    """Log of the joint ratio of all other agents, for each of a group of agents.

    In sequential updates with separate parameters, agents not yet updated have ratio 1, so this is
    r^{i−1} of the preceding agents. With shared parameters all agents move at every step, and it is
    the product over all j ≠ i under the current policy (erratum E9).

    Args:
        log_ratios: [..., N] of each agent, 0 where it is dead.
        agents: [K] int.

    Returns:
        [..., K].
    """
    return log_ratios.sum(axis=-1, keepdims=True) - log_ratios[..., agents]


def preceding(log_ratios: Array, agents: Array, rank: Array) -> Array:
    """Log of the joint ratio of the preceding agents in the order (the paper's r^{i−1}).

    With shared parameters this is the other reading of erratum E9: later agents have moved too, but
    are left out.

    Args:
        log_ratios: [..., N] of each agent, 0 where it is dead.
        agents: [K] int.
        rank: [N] int, each agent's position in the order.

    Returns:
        [..., K].
    """
    before = rank[:, None] < rank[None, agents]
    return product(log_ratios, before.astype(log_ratios.dtype))


def all(log_ratios: Array, agents: Array) -> Array:
    """Log of the joint ratio of all agents, including each one's own (A2PO's public code).

    Args:
        log_ratios: [..., N] of each agent, 0 where it is dead.
        agents: [K] int.

    Returns:
        [..., K].
    """
    total = log_ratios.sum(axis=-1, keepdims=True)
    return jnp.broadcast_to(total, (*log_ratios.shape[:-1], agents.shape[0]))
