"""The division of a batch's chunks into minibatches."""

from __future__ import annotations

from typing import Any

import jax

from opspo.types import Array


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
