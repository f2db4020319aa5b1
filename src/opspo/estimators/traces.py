"""Advantages and value targets by one reverse scan each.

Shapes: every array has time on its first axis, and the rest broadcast against each other; in
training they are [T, E, 1] or [T, E, K]. Index t of `reward`, `value` and `done` is the step at
which the action was taken; `next_value[t]` is V(s_{t+1}) of the true successor, which is 0 past a
termination and the value of the last state at a truncation. `done[t]` says that the episode ended
after step t, by either: no trace crosses it. `log_ratio[t]` is log r_t, the joint ratio
π̂^{i-1}(a_t|s_t) / π(a_t|s_t). Rewards and values are in the reward's own unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from opspo.types import Array


def discounted_sum(x: Array, coefficient: Array) -> Array:
    """y_t = x_t + coefficient_t · y_{t+1}, with y_T = 0. Both [T, ...], of one shape."""

    def step(y: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        x, coefficient = now
        y = x + coefficient * y
        return y, y

    _, out = jax.lax.scan(step, jnp.zeros_like(x[0]), (x, coefficient), reverse=True)
    return out


def td_error(reward: Array, value: Array, next_value: Array, *, gamma: float) -> Array:
    """δ_t = r_t + γ V(s_{t+1}) − V(s_t)."""
    return reward + gamma * next_value - value


def gae(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    *,
    gamma: float,
    gae_lambda: float,
) -> Array:
    """Generalised advantage estimation (Schulman et al. 2016, Eq. 16).

    A_t = Σ_{k≥t} (γλ)^{k−t} δ_k, up to the end of the episode.
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    return discounted_sum(delta, gamma * gae_lambda * (1 - done.astype(delta.dtype)))


def factor_cut(ratio: Array, *, gae_lambda: float, trace_clip: float) -> Array:
    """c = λ min(c̄, r): how much of a trace lives on past a step (Eq. 14, with c̄ = 1)."""
    return gae_lambda * jnp.minimum(ratio, trace_clip)


def bound_cut(ratio: Array, *, gae_lambda: float, trace_clip: float) -> Array:
    """c = min(λ c̄, r): λ outside, so that a ratio in [λ c̄, 1] does not shorten the trace again."""
    return jnp.minimum(ratio, gae_lambda * trace_clip)


def twice_cut(ratio: Array, *, gae_lambda: float, trace_clip: float) -> Array:
    """c = λ² min(c̄, r): λ with the ratio and once more with γ, as in A2PO's public code.

    There (`some_agent_compute_returns_from_current_policy` in onpolicy/utils/shared_buffer.py) the
    rates are (γλ)^k and the ratios λ min(c̄, r), unless `speedup_trace` is set. Where nobody has
    moved this is not GAE: the public code takes GAE for the first stage.
    """
    return gae_lambda**2 * jnp.minimum(ratio, trace_clip)


Cut = Callable[..., Array]
"""(ratio, *, gae_lambda, trace_clip) → c"""


def _correction_terms(
    delta: Array, done: Array, log_ratio: Array, cut: Cut, **numbers: float
) -> tuple[Array, Array, Array, Array]:
    """δ_t, whether the episode goes on after t (1 or 0), r_t and c_t, in one shape."""
    going = 1 - done.astype(delta.dtype)
    delta, going, log_ratio = jnp.broadcast_arrays(delta, going, log_ratio)
    # no cut lets more than this through, and a longer ratio must not overflow
    ratio = jnp.exp(jnp.minimum(log_ratio, math.log(max(numbers["trace_clip"], 1.0))))
    return delta, going, ratio, cut(ratio, **numbers)


def _after(x: Array) -> Array:
    """x_{t+1} at index t, and 0 after the last."""
    return jnp.concatenate([x[1:], jnp.zeros_like(x[:1])])


def aec_td(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    *,
    gamma: float,
    gae_lambda: float,
    trace_clip: float = 1.0,
    cut: Cut = factor_cut,
) -> Array:
    """AEC as printed, Eq. 15: A_t = δ_t, whatever the ratio and λ; they shape the target only."""
    del done, gae_lambda, trace_clip, cut
    delta = td_error(reward, value, next_value, gamma=gamma)
    return jnp.broadcast_arrays(delta, log_ratio)[0]


def aec_vtrace_next(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    *,
    gamma: float,
    gae_lambda: float,
    trace_clip: float = 1.0,
    cut: Cut = factor_cut,
) -> Array:
    """AEC as IMPALA has it (Espeholt et al. 2018): A_t = r_t + γ v_{t+1} − V(s_t).

    v_t = V(s_t) + Σ_{k≥t} γ^{k−t} (Π_{j=t..k−1} c_j) ρ_k δ_k with c_j = λ min(c̄, r_j) and
    ρ_k = min(c̄, r_k), without λ: erratum E3. Past an end, v_{t+1} is `next_value`.
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    numbers = {"gae_lambda": gae_lambda, "trace_clip": trace_clip}
    delta, going, ratio, c = _correction_terms(delta, done, log_ratio, cut, **numbers)
    excess = discounted_sum(jnp.minimum(ratio, trace_clip) * delta, gamma * c * going)
    return delta + gamma * going * _after(excess)


def aec_trace(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    *,
    gamma: float,
    gae_lambda: float,
    trace_clip: float = 1.0,
    cut: Cut = factor_cut,
) -> Array:
    """AEC as a full trace, A2PO's preceding-agent form (Wang et al. 2023).

    A_t = δ_t + Σ_{k≥1} γ^k (Π_{j=1..k} c_{t+j}) δ_{t+k} with c_j = λ min(c̄, r_j). The first term
    carries neither λ nor r_t, since the action at t is given. It equals
    r_t + γ V_target(s_{t+1}) − V(s_t) with the target of Eq. 14, and GAE where every ratio is at
    least c̄ = 1.
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    numbers = {"gae_lambda": gae_lambda, "trace_clip": trace_clip}
    delta, going, _, c = _correction_terms(delta, done, log_ratio, cut, **numbers)
    return discounted_sum(delta, gamma * going * _after(c))


def aec_running_trace(
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
    """A trace whose running product of ratios is cut off, and not each ratio.

    A_t = Σ_{k≥t} (γλ)^{k−t} R_{t,k} δ_k with R_{t,t} = 1 and R_{t,k} = min(c̄, r_k R_{t,k−1}), so
    that a large ratio makes up for small ones before it. A2PO's public code has it with c̄ = 1 where
    `speedup_trace` is set (onpolicy/utils/shared_buffer.py). R depends on where it starts, so this
    takes O(T²) operations, in a memory of O(T).
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    going = 1 - done.astype(delta.dtype)
    delta, going, log_ratio = jnp.broadcast_arrays(delta, going, log_ratio)
    starts = jnp.arange(delta.shape[0]).reshape(-1, *(1,) * (delta.ndim - 1))
    most = math.log(trace_clip)

    def step(sums: Any, now: Any) -> tuple[Any, None]:
        """Take step k into the sums of all starts; those that come later have weight 0."""
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


def printed_value_target(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    *,
    gamma: float,
    gae_lambda: float,
    trace_clip: float = 1.0,
    cut: Cut = factor_cut,
) -> Array:
    """Value target of Eq. 14, with δ_k for the misprinted δ_t (erratum E2).

    V_target(s_t) = V(s_t) + Σ_{k≥t} γ^{k−t} (Π_{j=t..k} c_j) δ_k, c_j = λ min(c̄, r_j). Its first
    term is λ min(c̄, r_t) δ_t: even on-policy it moves by λ of the TD error only (erratum E3).
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    numbers = {"gae_lambda": gae_lambda, "trace_clip": trace_clip}
    delta, going, _, c = _correction_terms(delta, done, log_ratio, cut, **numbers)
    return value + discounted_sum(c * delta, gamma * c * going)
