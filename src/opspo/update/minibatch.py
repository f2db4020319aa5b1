"""Batches as sequences [L, C, ...], and their division into minibatches.

A recurrent network is trained on chunks of `L` steps, each from the state stored at its start;
a feed-forward one on chunks of one step. So one code serves both.
"""

from __future__ import annotations

from typing import Any

import jax

from opspo.types import Array


def to_chunks(x: Array, length: int) -> Array:
    """[T, E, ...] → [L, C, ...] with C = T / L · E."""
    steps, envs, *rest = x.shape
    parts = x.reshape(steps // length, length, envs, *rest)
    return parts.swapaxes(0, 1).reshape(length, steps // length * envs, *rest)


def from_chunks(x: Array, num_envs: int) -> Array:
    """The inverse of `to_chunks`: [L, C, ...] → [T, E, ...]."""
    length, chunks, *rest = x.shape
    parts = x.reshape(length, chunks // num_envs, num_envs, *rest)
    return parts.swapaxes(0, 1).reshape(length * (chunks // num_envs), num_envs, *rest)


def chunk_starts(x: Array, length: int) -> Array:
    """[T, E, ...] → [C, ...], what held at the first step of each chunk."""
    return to_chunks(x[::length], 1)[0]


def split(sequences: Any, starts: Any, key: Array, parts: int) -> tuple[Any, Any]:
    """Shuffle the chunks and deal them into minibatches, on a new leading axis.

    Args:
        sequences: pytree of [L, C, ...].
        starts: pytree of [C, ...].
        key: PRNG key of the shuffle.
        parts: a divisor of C. One part keeps the order, since a mean does not depend on it.

    Returns:
        Pytrees of [parts, L, C / parts, ...] and of [parts, C / parts, ...].
    """
    if parts == 1:
        return jax.tree.map(lambda x: x[None], (sequences, starts))
    chunks = jax.tree.leaves(sequences)[0].shape[1]
    order = jax.random.permutation(key, chunks).reshape(parts, chunks // parts)
    dealt = jax.tree.map(lambda x: x[:, order].swapaxes(0, 1), sequences)
    return dealt, jax.tree.map(lambda x: x[order], starts)
