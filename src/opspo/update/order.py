"""Orders in which agents are updated. Each is a function (key, score [N]) → permutation [N]."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from opspo.estimators.normalise import masked_mean
from opspo.types import Array

Order = Callable[[Array, Array], Array]


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


def cyclic(key: Array, score: Array) -> Array:
    """0, 1, …, N − 1."""
    del key
    return jnp.arange(score.shape[0])


def random(key: Array, score: Array) -> Array:
    """A uniformly random permutation (HAPPO)."""
    return jax.random.permutation(key, score.shape[0])


def greedy(key: Array, score: Array) -> Array:
    """Descending score, ties at random."""
    shuffled = random(key, score)
    return shuffled[jnp.argsort(-score[shuffled], stable=True)]


def semi_greedy(key: Array, score: Array) -> Array:
    """Alternately the best of those left and a random one of those left (A2PO)."""
    size = score.shape[0]
    tie_key, pick_key = jax.random.split(key)
    tie_break = jax.random.uniform(tie_key, score.shape)

    def pick(left: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        position, key = now
        best = jnp.where(left, score, -jnp.inf).max()
        candidates = left & ((score == best) | (position % 2 == 1))
        lottery = jnp.where(position % 2 == 1, jax.random.uniform(key, score.shape), tie_break)
        agent = jnp.where(candidates, lottery, -1.0).argmax()
        return left.at[agent].set(False), agent

    keys = jax.random.split(pick_key, size)
    return jax.lax.scan(pick, jnp.ones(size, bool), (jnp.arange(size), keys))[1]


def reverse_semi_greedy(key: Array, score: Array) -> Array:
    """Alternately the worst of those left and a random one of those left (A2PO's public code).

    Not `semi_greedy` from its end, which would have random ones at its odd places and leave the
    best to the last.
    """
    return semi_greedy(key, -score)


def reverse(order: Order) -> Order:
    """The order from its end."""
    return lambda key, score: order(key, score)[::-1]


ORDERS: dict[str, Order] = {
    "cyclic": cyclic,
    "reverse_cyclic": reverse(cyclic),
    "random": random,
    "greedy": greedy,
    "reverse_greedy": reverse(greedy),
    "semi_greedy": semi_greedy,
    "reverse_semi_greedy": reverse_semi_greedy,
}
