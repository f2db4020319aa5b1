"""How AEC's traces decay; the setting `trace_decay` names a function here.

`factor`, `bound`, `twice` and `steady` compute the factor c that a trace keeps at a step, from
log r.
`running` does not act on single steps: it is a whole advantage estimator and replaces `trace`.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from opspo.estimators.traces import going_on, td_error
from opspo.types import Array


class TraceDecay(Protocol):
    """The factor that a trace keeps at each step: log r [T, ...] → c [T, ...]."""

    def __call__(self, log_ratio: Array, *, gae_lambda: float, trace_clip: float) -> Array:
        """The factor c of each step."""


def factor(log_ratio: Array, *, gae_lambda: float, trace_clip: float) -> Array:
    """c = λ min(c̄, r) (Eq. 14, with c̄ = 1).

    Args:
        log_ratio: [T, ...] log r.
        gae_lambda: λ.
        trace_clip: c̄.

    Returns:
        c [T, ...].
    """
    return gae_lambda * _bounded(log_ratio, trace_clip)


def bound(log_ratio: Array, *, gae_lambda: float, trace_clip: float) -> Array:
    """c = min(λ c̄, r): λ is part of the bound, so ratios in [λ c̄, 1] do not shorten it further.

    Args:
        log_ratio: [T, ...] log r.
        gae_lambda: λ.
        trace_clip: c̄.

    Returns:
        c [T, ...].
    """
    return jnp.minimum(_bounded(log_ratio, trace_clip), gae_lambda * trace_clip)


def twice(
    log_ratio: Array, stage: Array | int = 1, *, gae_lambda: float, trace_clip: float
) -> Array:
    """c = λ² min(c̄, r), and λ in the first stage, as in A2PO's public code.

    There (`some_agent_compute_returns_from_current_policy` in onpolicy/utils/shared_buffer.py) the
    rates are (γλ)^k and the ratios λ min(c̄, r), unless `speedup_trace` is set. When nobody has
    moved yet this is not GAE, so the public code uses GAE in the first stage: c = λ.

    Args:
        log_ratio: [T, ...] log r.
        stage: [] int, the number of the update's stage, from 0.
        gae_lambda: λ.
        trace_clip: c̄.

    Returns:
        c [T, ...].
    """
    c = gae_lambda**2 * _bounded(log_ratio, trace_clip)
    return jnp.where(jnp.asarray(stage) == 0, jnp.full_like(c, gae_lambda), c)


def steady(log_ratio: Array, *, gae_lambda: float, trace_clip: float) -> Array:
    """c = λ min(c̄, r) / m, at most 1, with m the mean of min(c̄, r) over the batch.

    min(1, r) has a mean below 1, the lower the more agents have moved, so `factor` also makes
    traces shorter: on a team that has moved far, λ = 0.95 acts like 0.85. Here the mean of c stays
    at λ, as far as no c is cut at 1, and the ratios decide only which steps are kept. With one
    ratio for all samples c = λ. The mean takes the place of the expectation in a
    self-normalised weight: it is consistent, with a bias of the order of 1 / (T E).

    Args:
        log_ratio: [T, E, K] log r; each agent k has a mean of its own.
        gae_lambda: λ.
        trace_clip: c̄.

    Returns:
        c [T, E, K].
    """
    kept = _bounded(log_ratio, trace_clip)
    mean = jnp.maximum(kept.mean((0, 1), keepdims=True), jnp.finfo(kept.dtype).tiny)
    return jnp.minimum(gae_lambda * (kept / mean), 1)


def running(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    *,
    gamma: float,
    gae_lambda: float,
    trace_clip: float = 1.0,
) -> Array:
    """An advantage that bounds the running product of ratios rather than each ratio.

    A_t = Σ_{k≥t} (γλ)^{k−t} R_{t,k} δ_k with R_{t,t} = 1 and R_{t,k} = min(c̄, r_k R_{t,k−1}), so
    a large ratio can make up for small ones before it. A2PO's public code does this with c̄ = 1 if
    `speedup_trace` is set (onpolicy/utils/shared_buffer.py). Since R depends on where it starts,
    this takes O(T²) operations, with O(T) memory.

    Args:
        reward, value, next_value, done, log_ratio: [T, ...], see `traces`.
        gamma, gae_lambda: γ, λ.
        trace_clip: c̄.

    Returns:
        A [T, ...].
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    delta, going, log_ratio = jnp.broadcast_arrays(delta, going_on(done, delta), log_ratio)
    starts = jnp.arange(delta.shape[0]).reshape(-1, *(1,) * (delta.ndim - 1))
    most = math.log(trace_clip)

    def step(sums: Any, now: Any) -> tuple[Any, None]:
        """Add step k to the sums of all starts; those that come later have weight 0."""
        log_product, weight, total = sums
        k, delta, before, log_ratio = now
        log_product = jnp.where(starts == k, 0.0, jnp.minimum(log_product + log_ratio[None], most))
        weight = jnp.where(starts == k, 1.0, gamma * gae_lambda * weight * before[None])
        return (log_product, weight, total + weight * jnp.exp(log_product) * delta[None]), None

    nothing = jnp.zeros_like(delta)
    before = jnp.concatenate([jnp.ones_like(going[:1]), going[:-1]])
    steps = (jnp.arange(delta.shape[0]), delta, before, log_ratio)
    (_, _, total), _ = jax.lax.scan(step, (nothing, nothing, nothing), steps)
    return total


def _bounded(log_ratio: Array, trace_clip: float) -> Array:
    """min(c̄, r), computed in the logarithm so that a large ratio does not overflow."""
    return jnp.exp(jnp.minimum(log_ratio, math.log(trace_clip)))
