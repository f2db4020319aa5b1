"""The gated recurrent unit along a sequence, with hand-written gradients.

JAX would differentiate the scan step by step: every step of the backward pass adds a small outer
product to each weight's gradient. Here the backward scan only returns the gates' errors, and each
weight's gradient is a single product over all steps, after the scan.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from opspo.policies.dense import bias_gradient, kernel_gradient
from opspo.types import Array


class Gates(NamedTuple):
    """One array or weight per gate, so that nothing is sliced inside a scan."""

    reset: Array
    update: Array
    new: Array


class _Kept(NamedTuple):
    """What the backward pass needs from the forward pass."""

    kernels: Gates
    gates: Gates
    """[L, B, h] each, after their non-linearities"""
    candidate: Array
    """[L, B, h] the recurrent part of the new gate, before the reset gate"""
    before: Array
    """[L, B, h] the state before each step, zero where an episode begins"""
    first: Array


@jax.custom_vjp
def gru(inputs: Gates, kernels: Gates, bias: Array, memory: Array, first: Array) -> Array:
    """States of a gated recurrent unit (Cho et al. 2014, with the reset gate after the product).

        r = σ(x_r + h W_r)    u = σ(x_u + h W_u)    n = tanh(x_n + r ⊙ (h W_n + b))
        h' = (1 − u) ⊙ n + u ⊙ h,    h = 0 at the first step of an episode

    Args:
        inputs: x, the input part of each gate at all steps, [L, B, h] each.
        kernels: W, [h, h] each.
        bias: b, [h].
        memory: [B, h] the state before the first step.
        first: [L, B] bool, true where an episode begins.

    Returns:
        The state after each step, [L, B, h].
    """
    return _forward(inputs, kernels, bias, memory, first)[0]


def _forward(
    inputs: Gates, kernels: Gates, bias: Array, memory: Array, first: Array
) -> tuple[Array, _Kept]:
    def step(h: Array, now: tuple[Gates, Array]) -> tuple[Array, tuple[Array, ...]]:
        x, begin = now
        h = jnp.where(begin[:, None], jnp.zeros_like(h), h)
        reset = jax.nn.sigmoid(x.reset + h @ kernels.reset)
        update = jax.nn.sigmoid(x.update + h @ kernels.update)
        candidate = h @ kernels.new + bias[None, :]
        new = jnp.tanh(x.new + reset * candidate)
        after = new + update * (h - new)
        return after, (after, reset, update, new, candidate, h)

    _, (after, reset, update, new, candidate, before) = jax.lax.scan(step, memory, (inputs, first))
    return after, _Kept(kernels, Gates(reset, update, new), candidate, before, first)


def _backward(kept: _Kept, error: Array) -> tuple[Gates, Gates, Array, Array, None]:
    """The gradients for errors [L, B, h] of the states."""
    transposed = Gates(*(kernel.T for kernel in kept.kernels))

    def step(carry: Array, now: Any) -> tuple[Array, tuple[Array, ...]]:
        error, (reset, update, new), candidate, before, begin = now
        error = error + carry
        to_new = error * (1 - update) * (1 - new * new)
        to_update = error * (before - new) * update * (1 - update)
        to_candidate = to_new * reset
        to_reset = to_new * candidate * reset * (1 - reset)
        carry = (
            error * update
            + to_reset @ transposed.reset
            + to_update @ transposed.update
            + to_candidate @ transposed.new
        )
        carry = jnp.where(begin[:, None], jnp.zeros_like(carry), carry)
        return carry, (to_reset, to_update, to_new, to_candidate)

    memory, (to_reset, to_update, to_new, to_candidate) = jax.lax.scan(
        step,
        jnp.zeros_like(error[0]),
        (error, kept.gates, kept.candidate, kept.before, kept.first),
        reverse=True,
    )

    errors = Gates(to_reset, to_update, to_candidate)
    kernels = Gates(*(kernel_gradient(kept.before, error) for error in errors))
    bias = bias_gradient(to_candidate)
    return Gates(to_reset, to_update, to_new), kernels, bias, memory, None


gru.defvjp(_forward, _backward)
