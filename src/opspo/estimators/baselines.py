"""Baselines b(s), subtracted from the actors' advantage; `baseline` names a function here.

Under π̂ = π̂^{i−1} the advantage of Eq. 15 has mean 0 in every state, since its own baseline is the
value of π̂. Ours has the critic's V, of the old policies π, so a function of the state remains. It
adds noise to the gradient. It adds no bias where the agent has not moved, as ∇ log π^i has mean 0
there, but it does where samples are clipped. What remains is E_π[r A | s] / E_π[r | s], and the
functions here estimate it from the batch.

Shapes: `advantage`, `log_ratio` and `alive` are [T, E, K], with time index t as in `traces`;
`log_ratio` is that of the others' whole actions, and `features` are [T, E, 1] or [T, E, K] with p
numbers on a last axis. Each agent k has a baseline of its own. The critic's target keeps the
advantage without baseline.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.estimators.elimination import solve
from opspo.types import Array


def none(advantage: Array) -> Array:
    """No baseline besides V: 0.

    Args:
        advantage: [T, E, K].

    Returns:
        0 [T, E, K].
    """
    return jnp.zeros_like(advantage)


def mean(advantage: Array, log_ratio: Array, alive: Array) -> Array:
    """The same b for all states: the mean of A over living samples, weighted by r.

    Args:
        advantage, log_ratio: [T, E, K].
        alive: [T, E, K] bool.

    Returns:
        b [T, E, K], in the unit of the advantage; 0 for an agent without samples.
    """
    weight = _weight(log_ratio, alive)
    sum_of_weights = jnp.maximum(weight.sum((0, 1)), jnp.finfo(weight.dtype).tiny)
    total = (weight * advantage).sum((0, 1)) / sum_of_weights
    return jnp.broadcast_to(total[None, None], advantage.shape)


def linear(
    advantage: Array, features: Array, log_ratio: Array, alive: Array, *, baseline_ridge: float
) -> Array:
    """b(s) = c + z(s)ᵀβ, by one ridge regression of A on the features, weighted by r.

    z = φ less its weighted mean. c and β minimise Σ r (A − c − zᵀβ)² + ridge · m Σ r · |β|², where
    m is the weighted mean square of z's entries.

    Args:
        advantage, log_ratio: [T, E, K].
        features: [T, E, 1 or K, p] φ, the critic's last hidden layer.
        alive: [T, E, K] bool.
        baseline_ridge: ridge.

    Returns:
        b [T, E, K], in the unit of the advantage.
    """
    weight = _weight(log_ratio, alive)
    return _fitted(advantage, features, weight, baseline_ridge)


def linear_crossfit(
    advantage: Array, features: Array, log_ratio: Array, alive: Array, *, baseline_ridge: float
) -> Array:
    """The same, cross-fitted: a sample's β is from the other half of the environments.

    A baseline that was fitted to a sample's own advantage removes a part of its signal, about p / S
    of it with p features and S samples. With a single environment the halves are those of time.

    Args:
        advantage, log_ratio: [T, E, K].
        features: [T, E, 1 or K, p].
        alive: [T, E, K] bool.
        baseline_ridge: ridge.

    Returns:
        b [T, E, K], in the unit of the advantage.
    """
    steps, envs = advantage.shape[:2]
    if envs > 1:
        own = (jnp.arange(envs) < envs // 2)[None, :, None]
    else:
        own = (jnp.arange(steps) < steps // 2)[:, None, None]
    weight = _weight(log_ratio, alive)
    one, other = (
        _fitted(advantage, features, jnp.where(half, weight, 0), baseline_ridge)
        for half in (own, ~own)
    )
    return jnp.where(own, other, one)


def _weight(log_ratio: Array, alive: Array) -> Array:
    """r over its largest value, 0 for the dead: only the proportions matter."""
    largest = jnp.where(alive, log_ratio, -jnp.inf).max((0, 1), keepdims=True)
    largest = jnp.where(jnp.isfinite(largest), largest, 0)
    return jnp.where(alive, jnp.exp(jnp.where(alive, log_ratio - largest, 0)), 0)


def _fitted(advantage: Array, features: Array, weight: Array, ridge: float) -> Array:
    """The regression of each agent with weights [T, E, K], evaluated at all samples."""
    *samples, agents = advantage.shape
    size = features.shape[-1]
    shared = features.shape[2] == 1

    def of_agent(a: Array, x: Array, w: Array) -> Array:
        """[S], [S, p], [S] → [S]."""
        w = w / jnp.maximum(w.sum(), jnp.finfo(w.dtype).tiny)
        level, z = w @ a, x - (w @ x)[None]
        square = (w @ z**2).mean()
        gram = z.T @ (w[:, None] * z)
        gram = gram + (ridge * square + jnp.finfo(x.dtype).eps) * jnp.eye(size, dtype=x.dtype)
        # scaling the system to 1 prevents underflow
        right, tiny = (w * (a - level)) @ z, jnp.finfo(x.dtype).tiny
        unit, largest = jnp.trace(gram) / size, jnp.maximum(jnp.abs(right).max(), tiny)
        slope = solve(gram / unit, right / largest) * (largest / unit)
        return level + z @ slope

    flat = features.reshape(-1, features.shape[2], size)
    found = jax.vmap(of_agent, in_axes=(1, None if shared else 1, 1), out_axes=1)(
        advantage.reshape(-1, agents), flat[:, 0] if shared else flat, weight.reshape(-1, agents)
    )
    return found.reshape(*samples, agents)
