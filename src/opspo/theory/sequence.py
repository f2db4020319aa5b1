"""One sequential update of a team, solved exactly, from which surrogates and bounds are computed.

Joint policies are numbered as in the paper: π̂^0 = π collected the data, and in π̂^i the first i
agents are updated. Arrays over agents have agent i = 1..n at index i − 1.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from opspo.theory import tabular
from opspo.theory.tabular import Game, Scalar
from opspo.types import Array


@struct.dataclass
class Sequence:
    """The joint policies π̂^0..π̂^n of one update, with exact quantities of each."""

    old: Array
    """[n, S, A] the agents' policies before the update"""
    new: Array
    """[n, S, A] the agents' policies after it"""
    joint: Array
    """[n + 1, S, X] π̂^0..π̂^n"""
    performance: Array
    """[n + 1] J"""
    distribution: Array
    """[n + 1, S] d, discounted, with sum 1"""
    advantage: Array
    """[n + 1, S, X] A"""


def solve(game: Game, old: Array, new: Array, *, gamma: Scalar) -> Sequence:
    """Solve the update from `old` to `new` policies, [n, S, A] each, in the order of the agents."""
    agents = len(old)
    updated = jnp.tril(jnp.ones((agents + 1, agents), bool), -1)[..., None, None]
    joint = jax.vmap(tabular.joint_policy)(jnp.where(updated, new[None], old[None]))
    value = jax.vmap(lambda one: tabular.state_value(game, one, gamma=gamma))(joint)
    following = jnp.einsum("sxz,iz->isx", game.transition, value)
    return Sequence(
        old=old,
        new=new,
        joint=joint,
        performance=value @ game.initial,
        distribution=jax.vmap(lambda one: tabular.discounted_distribution(game, one, gamma=gamma))(
            joint
        ),
        advantage=game.reward[None] + gamma * following - value[..., None],
    )


def total_variation(sequence: Sequence) -> Array:
    """TV(π^i(·|s), π̄^i(·|s)) of each agent at each state: [n, S]."""
    return jnp.abs(sequence.new - sequence.old).sum(axis=-1) / 2


def marginal(values: Array, before: Array, after: Array) -> Array:
    """Mean of `values` over the team-mates' actions, for each action of agent i: [S, A].

    Args:
        values: [S, X], for example the advantage.
        before: [S, A^{i−1}] joint policy of agents 1..i − 1.
        after: [S, A^{n−i}] joint policy of agents i + 1..n.
    """
    states, first, last = len(values), before.shape[1], after.shape[1]
    split = values.reshape(states, first, -1, last)
    return jnp.einsum("sbaf,sb,sf->sa", split, before, after)


def own_span(sequence: Sequence, values: Array) -> Array:
    """The largest effect of agent i's own action on the mean of `values`: [n, S].

    That is max − min over a^i of E[values^i(s, a)], with the team-mates following π̂^{i−1}.

    Args:
        sequence: the update of n agents.
        values: [n, S, X], one set for each agent.
    """
    nobody = jnp.ones((values.shape[1], 1), values.dtype)
    spans = []
    for i in range(len(sequence.old)):
        before = tabular.joint_policy(sequence.new[:i]) if i else nobody
        after = tabular.joint_policy(sequence.old[i + 1 :]) if i + 1 < len(sequence.old) else nobody
        spans.append(jnp.ptp(marginal(values[i], before, after), axis=-1))
    return jnp.stack(spans)
