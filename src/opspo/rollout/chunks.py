"""Batches [T, E, ...] as sequences [L, C, ...].

A recurrent network is trained on chunks of L steps, each starting from the stored recurrent state;
a feed-forward network is trained on chunks of one step. The same code serves both.
"""

from __future__ import annotations

from opspo.types import Array


def to_chunks(x: Array, length: int) -> Array:
    """Cut a batch into chunks: [T, E, ...] → [L, C, ...] with C = E · T / L; L must divide T.

    The chunks of an environment are adjacent, so environments divided over devices give chunks
    divided over devices.
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
    """The values at the first step of each chunk: [T, E, ...] → [C, ...]."""
    return to_chunks(x[::length], 1)[0]
