"""A linear layer along sequences, with hand-written gradients.

They equal JAX's own, computed in an order that suits XLA's CPU compiler; benchmarks/notes.md has
the figures.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from opspo.types import Array


@jax.custom_vjp
def linear(x: Array, kernel: Array, bias: Array) -> Array:
    """x · W + b for each sample.

    Args:
        x: [L, B, i].
        kernel: W, [i, o].
        bias: b, [o], of the kernel's dtype.

    Returns:
        [L, B, o].
    """
    return x @ kernel + bias[None, None, :]


def _forward(x: Array, kernel: Array, bias: Array) -> tuple[Array, tuple[Array, Array]]:
    return linear(x, kernel, bias), (x, kernel)


def _backward(kept: tuple[Array, Array], error: Array) -> tuple[Array, Array, Array]:
    x, kernel = kept
    gradients = kernel_gradient(x, error), bias_gradient(error)
    # parameters may have a narrower dtype than the inputs
    for_kernel, for_bias = (gradient.astype(kernel.dtype) for gradient in gradients)
    return (error @ kernel.T).astype(x.dtype), for_kernel, for_bias


linear.defvjp(_forward, _backward)


def kernel_gradient(x: Array, error: Array) -> Array:
    """Σ x eᵀ over the samples: [i, o], for inputs x [L, B, i] and output errors e [L, B, o].

    The barrier keeps the transposition out of the product, which would take twice as long with both
    factors transposed.
    """
    product = lax.dot_general(error, x, (((0, 1), (0, 1)), ((), ())))
    return lax.optimization_barrier(product).T


def bias_gradient(error: Array) -> Array:
    """Σ e over the samples: [o], for output errors e [L, B, o].

    The axes are summed one after the other: a sum over both is done in small windows.
    """
    return lax.optimization_barrier(error.sum(1)).sum(0)


class Dense(nn.Module):
    """`linear` as a module, with the same parameter names as `flax.linen.Dense`."""

    size: int
    kernel_init: Callable[..., Array]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[L, B, d] → [L, B, size]."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.size), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.size,), jnp.float32)
        return linear(x, kernel, bias)
