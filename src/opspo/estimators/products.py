"""Matrix products in full precision.

On a GPU, products of 32-bit numbers have ten bits by default. That is enough for a network's layer,
but too coarse for a mean, a distance or the coefficients of an equation.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from opspo.types import Array


def product(a: Array, b: Array) -> Array:
    """`a @ b` in full precision, and so its gradient; shapes are as for `jnp.matmul`."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)
