"""Orders in which agents are updated; the setting `order` names a function here.

Each takes a PRNG key and the agents' scores [N] (`scores.scores`: the potential gain from each
agent) and returns a permutation, int [N].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.types import Array


def cyclic(key: Array, score: Array) -> Array:
    """0, 1, …, N − 1."""
    del key
    return jnp.arange(score.shape[0])


def reverse_cyclic(key: Array, score: Array) -> Array:
    """N − 1, N − 2, …, 0."""
    return cyclic(key, score)[::-1]


def random(key: Array, score: Array) -> Array:
    """A uniformly random permutation (HAPPO)."""
    return jax.random.permutation(key, score.shape[0])


def greedy(key: Array, score: Array) -> Array:
    """Descending score, ties at random."""
    shuffled = random(key, score)
    return shuffled[jnp.argsort(-score[shuffled], stable=True)]


def reverse_greedy(key: Array, score: Array) -> Array:
    """Ascending score, ties at random."""
    return greedy(key, score)[::-1]


def semi_greedy(key: Array, score: Array) -> Array:
    """Alternately the best and a random one of the remaining agents (A2PO)."""
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
    """Alternately the worst and a random one of the remaining agents (A2PO's public code).

    This is not `semi_greedy` reversed, which would leave the best agent for last and, for an even
    number of agents, begin with a random one.
    """
    return semi_greedy(key, -score)
