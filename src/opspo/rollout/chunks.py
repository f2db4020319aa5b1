"""Batches [T, E, ...] as sequences [L, C, ...].

A recurrent network is trained on chunks of `L` steps, each from the state stored at its start;
a feed-forward one on chunks of one step. So one code serves both.
"""

from __future__ import annotations

from opspo.types import Array


def to_chunks(x: Array, length: int) -> Array:
    """[T, E, ...] → [L, C, ...] with C = E · T / L.

    An environment's chunks lie side by side, so that environments divided over devices are chunks
    divided over them.
    """
    steps, envs, *rest = x.shape
    parts = x.reshape(steps // length, length, envs, *rest)
    return parts.swapaxes(0, 1).swapaxes(1, 2).reshape(length, envs * (steps // length), *rest)


def from_chunks(x: Array, num_envs: int) -> Array:
    """The inverse of `to_chunks`: [L, C, ...] → [T, E, ...]."""
    length, chunks, *rest = x.shape
    parts = x.reshape(length, num_envs, chunks // num_envs, *rest).swapaxes(1, 2)
    return parts.swapaxes(0, 1).reshape(length * (chunks // num_envs), num_envs, *rest)


def chunk_starts(x: Array, length: int) -> Array:
    """[T, E, ...] → [C, ...], what held at the first step of each chunk."""
    return to_chunks(x[::length], 1)[0]
