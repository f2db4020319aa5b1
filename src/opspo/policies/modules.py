"""Actor and critic networks: layer norm, hidden layers, optionally a GRU.

Every network maps a sequence [L, B, d], given the recurrent state [B, h] before its first step and
a flag [L, B] that is true where an episode begins (the state is zeroed there). A feed-forward
network has h = 0 and passes the empty state through.
"""

from __future__ import annotations

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from opspo.policies.dense import Dense
from opspo.policies.gru import Gates, gru
from opspo.policies.layer_norm import layer_norm
from opspo.types import Array

ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "relu": (nn.relu, 2.0**0.5),
    "tanh": (nn.tanh, 5.0 / 3.0),
}
"""Name → non-linearity and the gain that preserves variance (as in the paper's baselines)."""


def dense(size: int, gain: float, name: str | None = None) -> Dense:
    """A linear layer with orthogonal weights scaled by `gain`, and zero bias."""
    init = nn.initializers.orthogonal(gain)
    return Dense(size, kernel_init=init, name=name)


class GRU(nn.Module):
    """Gated recurrent unit; `policies.gru` has the formula.

    The input products of all steps are computed before the scan, which has only the recurrent ones.
    """

    size: int

    @nn.compact
    def __call__(self, x: Array, memory: Array, first: Array) -> tuple[Array, Array]:
        """[L, B, d], [B, h], [L, B] → outputs [L, B, h] and the last state [B, h]."""
        inputs = Gates(*(dense(self.size, 1.0, f"input_{gate}")(x) for gate in Gates._fields))
        kernels = Gates(
            *(
                self.param(
                    f"recurrent_{gate}", nn.initializers.orthogonal(), (self.size, self.size)
                )
                for gate in Gates._fields
            )
        )
        bias = self.param("recurrent_new_bias", nn.initializers.zeros, (self.size,))
        outputs = gru(inputs, kernels, bias, memory, first)
        return outputs, outputs[-1]


class RunningNorm(nn.Module):
    """Features scaled by their mean and standard deviation so far, and clipped to ±`LIMIT`.

    The statistics are variables of the network without gradients; `Members.observe` updates them.
    At first they are those of a standard normal distribution.
    """

    LIMIT = 10.0
    EPSILON = 1e-8

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., d] → [..., d]."""
        size = x.shape[-1]
        mean = self.variable("statistics", "mean", jnp.zeros, (size,)).value
        variance = self.variable("statistics", "variance", jnp.ones, (size,)).value
        self.variable("statistics", "count", jnp.zeros, ())
        mean, variance = jax.lax.stop_gradient((mean, variance))
        shape = (1,) * (x.ndim - 1) + (size,)
        scaled = (x - mean.reshape(shape)) / jnp.sqrt(variance + self.EPSILON).reshape(shape)
        return jnp.clip(scaled, -self.LIMIT, self.LIMIT)


class Torso(nn.Module):
    """Hidden layers, a GRU if `recurrent`, and the layers after it; a layer norm after each."""

    hidden_sizes: tuple[int, ...]
    activation: str
    recurrent: bool
    running_normalisation: bool = False
    """In place of the first layer norm"""
    layer_norm: bool = True
    output_sizes: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: Array, memory: Array, first: Array) -> tuple[Array, Array]:
        """[L, B, d] → features [L, B, last width], and the state after the last step [B, h]."""
        function, gain = ACTIVATIONS[self.activation]

        def norm(x: Array) -> Array:
            return layer_norm(x) if self.layer_norm else x

        x = RunningNorm(name="input")(x) if self.running_normalisation else norm(x)
        for size in self.hidden_sizes:
            x = norm(function(dense(size, gain)(x)))
        if self.recurrent:
            x, memory = GRU(self.hidden_sizes[-1])(x, memory, first)
            x = norm(x)
        for size in self.output_sizes:
            x = norm(function(dense(size, gain)(x)))
        return x, memory


class ActorNetwork(nn.Module):
    """A torso and a linear head that outputs the parameters of the action distribution."""

    torso: Torso
    head_size: int
    output_gain: float
    initial_log_std: float | None
    """None for discrete actions, where the head outputs logits. Otherwise it outputs means, through
    tanh, and the log standard deviations are parameters independent of the observation."""

    @nn.compact
    def __call__(self, x: Array, memory: Array, first: Array) -> tuple[Array, Array]:
        """[L, B, d] → logits [L, B, A], or mean and log std [L, B, 2 D]; the last state [B, h]."""
        features, memory = self.torso(x, memory, first)
        out = dense(self.head_size, self.output_gain)(features)
        if self.initial_log_std is not None:
            init = nn.initializers.constant(self.initial_log_std)
            log_std = self.param("log_std", init, (self.head_size,))
            out = jnp.concatenate([nn.tanh(out), jnp.broadcast_to(log_std, out.shape)], axis=-1)
        return out, memory


class CriticNetwork(nn.Module):
    """A torso and a linear head with one output, the value."""

    torso: Torso

    @nn.compact
    def __call__(self, x: Array, memory: Array, first: Array) -> tuple[Array, Array]:
        """[L, B, d] → values [L, B, 1], and the last state [B, h]."""
        features, memory = self.torso(x, memory, first)
        return dense(1, 1.0)(features), memory
