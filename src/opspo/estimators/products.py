"""Matrix products in full precision.

On a GPU a product of 32-bit numbers has ten bits by default. That is enough for a network's layer,
and too coarse for a mean, a distance or the coefficients of an equation.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import lax

from opspo.types import Array


def product(a: Array, b: Array) -> Array:
    """`a @ b`, and its gradient, with every bit."""
    return jnp.matmul(a, b, precision=lax.Precision.HIGHEST)
