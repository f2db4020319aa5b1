"""Whose ratios count; the values of the settings `trace_agents` and `weight_agents` name one."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.estimators.products import product
from opspo.types import Array


def others(log_ratios: Array, agents: Array) -> Array:
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


def preceding(log_ratios: Array, agents: Array, rank: Array) -> Array:
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


def all(log_ratios: Array, agents: Array) -> Array:
    """log of the joint ratio of all agents, each one's own among them (A2PO's public code).

    Args:
        log_ratios: [..., N] of each agent, 0 where it is dead.
        agents: [K] int.

    Returns:
        [..., K].
    """
    total = log_ratios.sum(axis=-1, keepdims=True)
    return jnp.broadcast_to(total, (*log_ratios.shape[:-1], agents.shape[0]))
