"""Layer norm along sequences, with sums along rows that are matrix products.

XLA's CPU compiler adds up a row of features in a quarter of the speed of a product with a column of
ones; benchmarks/notes.md has the figures. It was not measured elsewhere.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from opspo.types import Array

EPSILON = 1e-6


@jax.custom_vjp
def layer_norm(x: Array) -> Array:
    """(x − μ) / √(σ² + 10⁻⁶), with mean and variance over each sample's own features.

    Without scale and offset of its own: a linear layer follows each one and can take up both, so
    nothing is lost; their gradients are column sums over the whole batch, which cost more than the
    layer's matrix products. σ² is the mean of the squares about the mean. Flax takes the mean
    square less the squared mean, of which 32 bits leave nothing where the features share a large
    offset.

    Args:
        x: [..., d].

    Returns:
        [..., d].
    """
    return _forward(x)[0]


def _forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
    centred = x - _row_mean(x)
    scale = lax.rsqrt(_row_mean(centred * centred) + EPSILON)
    normal = centred * scale
    return normal, (normal, scale)


def _backward(kept: tuple[Array, Array], error: Array) -> tuple[Array]:
    """What of the error changes neither the mean nor the variance, scaled."""
    normal, scale = kept
    return (scale * (error - _row_mean(error) - normal * _row_mean(error * normal)),)


layer_norm.defvjp(_forward, _backward)


def _row_mean(x: Array) -> Array:
    """[..., d] → [..., 1]; in full precision also where products have less by default."""
    ones = jnp.ones((x.shape[-1], 1), x.dtype)
    return jnp.matmul(x, ones, precision=lax.Precision.HIGHEST) / x.shape[-1]
