"""Linear systems by Gauss-Jordan elimination, in place of LAPACK.

On a CPU, a LAPACK call on a batch of systems divides the batch over XLA's threads and waits for
them. Several such calls in one program can deadlock (jaxlib 0.10.2): two are enough on two cores.
At the sizes here, elimination is as fast.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.types import Array


def solve(matrix: Array, right: Array) -> Array:
    """Solve `matrix` x = `right`, for a matrix that needs no pivoting.

    Those are the diagonally dominant ones, such as 1 − γ P (by rows or by columns), and the
    symmetric positive definite ones, such as the normal equations of a ridge regression.

    Args:
        matrix: [S, S].
        right: [S], or several right sides as columns [S, R].

    Returns:
        x in the shape of `right`.
    """
    size = len(matrix)

    def eliminate(table: Array, row: Array) -> tuple[Array, None]:
        pivot = table[row] / table[row, row]
        return (table - table[:, row][:, None] * pivot[None]).at[row].set(pivot), None

    table = jnp.concatenate([matrix, right.reshape(size, -1)], axis=1)
    table, _ = jax.lax.scan(eliminate, table, jnp.arange(size))
    return table[:, size:].reshape(right.shape)
