"""One sequential update of a team, solved exactly: all that surrogates and bounds are made of.

Joint policies are numbered as in the paper: π̂^0 = π collected the data, π̂^i has the first i agents
updated. Arrays over agents have agent i = 1..n at index i − 1.
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
    """A game and the joint policies π̂^0..π̂^n of one update, with what is exact about each."""

    old: Array
    """[n, S, A] the agents' policies before"""
    new: Array
    """[n, S, A] and after"""
    joint: Array
    """[n + 1, S, X] π̂^0..π̂^n"""
    performance: Array
    """[n + 1] J"""
    distribution: Array
    """[n + 1, S] d, discounted, of sum 1"""
    advantage: Array
    """[n + 1, S, X]"""


def solve(game: Game, old: Array, new: Array, *, gamma: Scalar) -> Sequence:
    """Everything about the update of `old` to `new` [n, S, A] in the order of the agents."""
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
    """Mean of `values` over the team-mates' actions, for each of one agent's: [S, A].

    Args:
        values: [S, X], the advantage for example.
        before: joint policy of the agents numbered before this one: [S, A^{i−1}].
        after: joint policy of those after it: [S, A^{n−i}].
    """
    states, first, last = len(values), before.shape[1], after.shape[1]
    split = values.reshape(states, first, -1, last)
    return jnp.einsum("sbaf,sb,sf->sa", split, before, after)


def own_span(sequence: Sequence, values: Array) -> Array:
    """How much agent i's own action changes the mean of `values`, at most: [n, S].

    max − min over a^i of E[values^i(s, a)], team-mates acting by π̂^{i−1}.

    Args:
        sequence: of n agents.
        values: [n, S, X], one set for each agent.
    """
    nobody = jnp.ones((values.shape[1], 1), values.dtype)
    spans = []
    for i in range(len(sequence.old)):
        before = tabular.joint_policy(sequence.new[:i]) if i else nobody
        after = tabular.joint_policy(sequence.old[i + 1 :]) if i + 1 < len(sequence.old) else nobody
        spans.append(jnp.ptp(marginal(values[i], before, after), axis=-1))
    return jnp.stack(spans)
