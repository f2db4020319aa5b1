"""Dividing a batch's chunks into minibatches."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from opspo.types import Array


def split(sequences: Any, starts: Any, key: Array, parts: int) -> tuple[Any, Any]:
    """Deal the chunks into minibatches at random, on a new leading axis.

    Each group of `parts` neighbouring chunks is dealt out, one to each minibatch. Minibatches are
    therefore spread evenly over environments and time, and vary less than with a uniform draw from
    all chunks. If environments are divided over devices, no chunk leaves its device.

    Args:
        sequences: pytree of [L, C, ...].
        starts: pytree of [C, ...].
        key: for the deal.
        parts: number of minibatches, a divisor of C. One part keeps the order, on which a mean does
            not depend.

    Returns:
        Pytrees of [parts, L, C / parts, ...] and of [parts, C / parts, ...].
    """
    if parts == 1:
        return jax.tree.map(lambda x: x[None], (sequences, starts))
    chunks = jax.tree.leaves(sequences)[0].shape[1]
    order = jax.random.permutation(
        key, jnp.tile(jnp.arange(parts), (chunks // parts, 1)), axis=1, independent=True
    )

    def deal(x: Array, axis: int) -> Array:
        groups = x.reshape(*x.shape[:axis], *order.shape, *x.shape[axis + 1 :])
        choices = [jax.lax.index_in_dim(groups, i, axis + 1, False) for i in range(parts)]
        shape = choices[0].shape

        def part(drawn: Array) -> Array:
            # a selection among a few arrays: a gather would copy everything to every device
            drawn = drawn.reshape((1,) * axis + (-1,) + (1,) * (x.ndim - axis - 1))
            return jax.lax.select_n(jnp.broadcast_to(drawn, shape), *choices)

        return jax.lax.map(part, order.T)

    return (
        jax.tree.map(lambda x: deal(x, 1), sequences),
        jax.tree.map(lambda x: deal(x, 0), starts),
    )
