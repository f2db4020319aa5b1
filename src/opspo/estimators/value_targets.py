"""The critic's targets; the setting `value_target` names a function here.

`traces` describes the arrays. Targets are in the unit of the reward.
"""

from __future__ import annotations

import jax.numpy as jnp

from opspo.estimators import advantages
from opspo.estimators.trace_decays import TraceDecay, factor
from opspo.estimators.traces import discounted_sum, going_on, td_error, vtrace_excess
from opspo.types import Array


def advantage(value: Array, advantage: Array) -> Array:
    """V(s_t) + A_t, with the actors' advantage.

    Args:
        value: [T, ...].
        advantage: [T, ...].

    Returns:
        The target [T, ...].
    """
    return value + advantage


def gae(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    *,
    gamma: float,
    gae_lambda: float,
) -> Array:
    """The λ-return V(s_t) + A_t with A from GAE, whatever advantage the actors use.

    Args:
        reward, value, next_value, done: [T, ...], see `traces`.
        gamma, gae_lambda: γ, λ.

    Returns:
        The target [T, ...].
    """
    return value + advantages.gae(
        reward, value, next_value, done, gamma=gamma, gae_lambda=gae_lambda
    )


def printed(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    *,
    gamma: float,
    gae_lambda: float,
    trace_clip: float = 1.0,
    trace_decay: TraceDecay = factor,
) -> Array:
    """The target of Eq. 14, with δ_k in place of the misprinted δ_t (erratum E2).

    V_target(s_t) = V(s_t) + Σ_{k≥t} γ^{k−t} (Π_{j=t..k} c_j) δ_k. Its first term is
    λ min(c̄, r_t) δ_t: even on-policy it moves by only λ times the TD error (erratum E3).

    Args:
        reward, value, next_value, done, log_ratio: [T, ...], see `traces`.
        gamma, gae_lambda: γ, λ.
        trace_clip: c̄.
        trace_decay: log r → c.

    Returns:
        The target [T, ...].
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    delta, going, log_ratio = jnp.broadcast_arrays(delta, going_on(done, delta), log_ratio)
    c = trace_decay(log_ratio, gae_lambda=gae_lambda, trace_clip=trace_clip)
    return value + discounted_sum(c * delta, gamma * c * going)


def vtrace(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    *,
    gamma: float,
    gae_lambda: float,
    trace_clip: float = 1.0,
    trace_decay: TraceDecay = factor,
) -> Array:
    """IMPALA's target (Espeholt et al. 2018, Eq. 1), whose critic learns the value of π̂^{i−1}.

    v_t = V(s_t) + Σ_{k≥t} γ^{k−t} (Π_{j=t..k−1} c_j) ρ_k δ_k with ρ_k = min(c̄, r_k). With V + A the
    first term is δ_t whole, so the critic learns E_{a∼π}[Q^{π̂}(s, a)]: old actions, new future.
    Here r_t weighs it, and, as far as c̄ does not cut, the only fixed point is V^{π̂}.

    Args:
        reward, value, next_value, done, log_ratio: [T, ...], see `traces`.
        gamma, gae_lambda: γ, λ.
        trace_clip: c̄, which also bounds ρ.
        trace_decay: log r → c.

    Returns:
        The target [T, ...].
    """
    return value + vtrace_excess(
        reward,
        value,
        next_value,
        done,
        log_ratio,
        gamma=gamma,
        gae_lambda=gae_lambda,
        trace_clip=trace_clip,
        trace_decay=trace_decay,
    )
