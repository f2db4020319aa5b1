"""Action distributions as functions of a network's output.

`log_prob` and `entropy` are given for each dimension of the action, [..., D]: agents may have fewer
than D dimensions, and the paper averages the dimensions' ratios (`estimators.action_ratios`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp

from opspo.types import Array

_UNAVAILABLE = -1e9  # finite, so that a row without any available action gives no NaN gradient


class Distribution(Protocol):
    """What the rollout and the objectives need from an action distribution."""

    def sample(self, key: Array, output: Array, available: Array | None) -> Array:
        """Draw an action."""

    def mode(self, output: Array, available: Array | None) -> Array:
        """The most probable action."""

    def log_prob(self, output: Array, action: Array, available: Array | None) -> Array:
        """[..., D] log-probability (or density) of each dimension of the action."""

    def entropy(self, output: Array, available: Array | None) -> Array:
        """[..., D] entropy of each dimension of the action, in nats."""

    def centred(self, output: Array, action: Array, available: Array | None) -> Array:
        """z [..., Z], the action as numbers whose mean under the policy is 0."""

    def centred_mean(self, output: Array, other: Array, available: Array | None) -> Array:
        """[..., Z] the mean of the policy's z under another policy, with the output `other`."""


@dataclass(frozen=True)
class MaskedCategorical:
    """Discrete actions; unavailable ones have probability 0. Output: logits [..., A]."""

    def _log_probs(self, output: Array, available: Array | None) -> Array:
        logits = output if available is None else jnp.where(available, output, _UNAVAILABLE)
        return jax.nn.log_softmax(logits)

    def sample(self, key: Array, output: Array, available: Array | None) -> Array:
        """Draw an action [...], int."""
        return jax.random.categorical(key, self._log_probs(output, available))

    def mode(self, output: Array, available: Array | None) -> Array:
        """The most probable action [...], int."""
        return self._log_probs(output, available).argmax(axis=-1)

    def log_prob(self, output: Array, action: Array, available: Array | None) -> Array:
        """Log-probability of an action [...]: [..., 1]."""
        log_probs = self._log_probs(output, available)
        # a masked sum rather than a gather, whose gradient is a scatter
        index = jax.lax.broadcasted_iota(action.dtype, log_probs.shape, log_probs.ndim - 1)
        chosen = index == action[..., None]
        return jnp.where(chosen, log_probs, 0).sum(axis=-1, keepdims=True)

    def entropy(self, output: Array, available: Array | None) -> Array:
        """Entropy in nats: [..., 1]."""
        log_probs = self._log_probs(output, available)
        return -(jnp.exp(log_probs) * log_probs).sum(axis=-1, keepdims=True)

    def centred(self, output: Array, action: Array, available: Array | None) -> Array:
        """The action as a unit vector less the probabilities: [..., A]."""
        probs = jnp.exp(self._log_probs(output, available))
        return jax.nn.one_hot(action, probs.shape[-1], dtype=probs.dtype) - probs

    def centred_mean(self, output: Array, other: Array, available: Array | None) -> Array:
        """The difference of the two policies' probabilities: [..., A]."""
        old, new = (jnp.exp(self._log_probs(each, available)) for each in (output, other))
        return new - old


@dataclass(frozen=True)
class Decisions:
    """Several discrete decisions at one step, independent of each other given the observation.

    Output: logits [..., D · A]; `available` [..., D, A]; actions int [..., D].
    """

    num_decisions: int

    def sample(self, key: Array, output: Array, available: Array | None) -> Array:
        """Draw an action [..., D], int."""
        return _CHOICE.sample(key, self._apart(output), available)

    def mode(self, output: Array, available: Array | None) -> Array:
        """The most probable action [..., D], int."""
        return _CHOICE.mode(self._apart(output), available)

    def log_prob(self, output: Array, action: Array, available: Array | None) -> Array:
        """Log-probability of each decision of an action [..., D]: [..., D]."""
        return _CHOICE.log_prob(self._apart(output), action, available)[..., 0]

    def entropy(self, output: Array, available: Array | None) -> Array:
        """Entropy of each decision in nats: [..., D]."""
        return _CHOICE.entropy(self._apart(output), available)[..., 0]

    def centred(self, output: Array, action: Array, available: Array | None) -> Array:
        """Each decision as a unit vector less the probabilities: [..., D · A]."""
        found = _CHOICE.centred(self._apart(output), action, available)
        return found.reshape(output.shape)

    def centred_mean(self, output: Array, other: Array, available: Array | None) -> Array:
        """The difference of the two policies' probabilities: [..., D · A]."""
        found = _CHOICE.centred_mean(self._apart(output), self._apart(other), available)
        return found.reshape(output.shape)

    def _apart(self, output: Array) -> Array:
        """[..., D · A] → [..., D, A]."""
        return output.reshape(*output.shape[:-1], self.num_decisions, -1)


_CHOICE = MaskedCategorical()


@dataclass(frozen=True)
class DiagonalGaussian:
    """Continuous actions. Output: means, then log standard deviations, [..., 2 D].

    Actions are not squashed: the environment clips them, as in the paper's baselines.
    """

    def sample(self, key: Array, output: Array, available: Array | None) -> Array:
        """Draw an action [..., D]."""
        del available
        mean, log_std = jnp.split(output, 2, axis=-1)
        return mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)

    def mode(self, output: Array, available: Array | None) -> Array:
        """The mean [..., D]."""
        del available
        return jnp.split(output, 2, axis=-1)[0]

    def log_prob(self, output: Array, action: Array, available: Array | None) -> Array:
        """Log density of each dimension of an action [..., D]: [..., D]."""
        del available
        mean, log_std = jnp.split(output, 2, axis=-1)
        z = (action - mean) * jnp.exp(-log_std)
        return -0.5 * z**2 - log_std - 0.5 * math.log(2 * math.pi)

    def entropy(self, output: Array, available: Array | None) -> Array:
        """Entropy of each dimension in nats: [..., D]."""
        del available
        log_std = jnp.split(output, 2, axis=-1)[1]
        return log_std + 0.5 * math.log(2 * math.pi * math.e)

    def centred(self, output: Array, action: Array, available: Array | None) -> Array:
        """The noise in units of its deviation: [..., D]."""
        del available
        mean, log_std = jnp.split(output, 2, axis=-1)
        return (action - mean) * jnp.exp(-log_std)

    def centred_mean(self, output: Array, other: Array, available: Array | None) -> Array:
        """How far the mean has moved, in units of the first policy's deviation: [..., D]."""
        del available
        mean, log_std = jnp.split(output, 2, axis=-1)
        return (jnp.split(other, 2, axis=-1)[0] - mean) * jnp.exp(-log_std)
