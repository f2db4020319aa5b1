"""Advantage estimators, each a single reverse scan; the setting `advantage` names a function here.

`traces` describes the arrays. In AEC, r is the joint ratio of the other agents, `log_ratio` its
logarithm, and c_t = `trace_decay`(log_ratio_t) the factor that a trace keeps at step t
(`trace_decays`).
"""

from __future__ import annotations

import jax.numpy as jnp

from opspo.estimators.trace_decays import TraceDecay, factor
from opspo.estimators.traces import discounted_sum, going_on, shifted, td_error, vtrace_excess
from opspo.types import Array


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

    Args:
        reward, value, next_value, done: [T, ...], see `traces`.
        gamma, gae_lambda: γ, λ.

    Returns:
        A [T, ...].
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    return discounted_sum(delta, gamma * gae_lambda * going_on(done, delta))


def td(reward: Array, value: Array, next_value: Array, *, gamma: float) -> Array:
    """AEC as printed, Eq. 15: A_t = δ_t. The ratios and λ only affect the value target.

    Args:
        reward, value, next_value: [T, ...], see `traces`.
        gamma: γ.

    Returns:
        A [T, ...].
    """
    return td_error(reward, value, next_value, gamma=gamma)


def vtrace_next(
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
    """AEC in IMPALA's form (Espeholt et al. 2018): A_t = r_t + γ v_{t+1} − V(s_t).

    v_t = V(s_t) + Σ_{k≥t} γ^{k−t} (Π_{j=t..k−1} c_j) ρ_k δ_k with ρ_k = min(c̄, r_k), without λ
    (erratum E3). At the end of an episode, v_{t+1} is `next_value`.

    Args:
        reward, value, next_value, done, log_ratio: [T, ...], see `traces`.
        gamma, gae_lambda: γ, λ.
        trace_clip: c̄.
        trace_decay: log r → c.

    Returns:
        A [T, ...].
    """
    excess = vtrace_excess(
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
    delta = td_error(reward, value, next_value, gamma=gamma)
    delta, going = (jnp.broadcast_to(x, excess.shape) for x in (delta, going_on(done, delta)))
    return delta + gamma * going * shifted(excess)


def trace(
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
    """AEC as a full trace, A2PO's preceding-agent form (Wang et al. 2023).

    A_t = δ_t + Σ_{k≥1} γ^k (Π_{j=1..k} c_{t+j}) δ_{t+k}. The first term has neither λ nor r_t,
    since the action at t is given. A_t equals r_t + γ V_target(s_{t+1}) − V(s_t) with the target of
    Eq. 14, and GAE if every ratio is at least c̄ = 1.

    Args:
        reward, value, next_value, done, log_ratio: [T, ...], see `traces`.
        gamma, gae_lambda: γ, λ.
        trace_clip: c̄.
        trace_decay: log r → c.

    Returns:
        A [T, ...].
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    delta, going, log_ratio = jnp.broadcast_arrays(delta, going_on(done, delta), log_ratio)
    c = trace_decay(log_ratio, gae_lambda=gae_lambda, trace_clip=trace_clip)
    return discounted_sum(delta, gamma * going * shifted(c))


def doubly_robust(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    action_value: Array,
    own_action_value: Array,
    value_shift: Array,
    *,
    gamma: float,
    gae_lambda: float,
    trace_clip: float = 1.0,
    trace_decay: TraceDecay = factor,
) -> Array:
    """A doubly robust trace, with a model q(s, a) of what the joint action adds to V(s).

    After Jiang and Li (2016), with the traces of AEC:

        A_t = q^i_t + δ_t + Σ_{k≥1} γ^k (Π_{j=1..k} c_{t+j}) δ_{t+k}
        δ_t = r_t + γ (V(s_{t+1}) + u(s_{t+1})) − V(s_t) − q(s_t, a_t)

    u(s) = E_{a∼π̂^{i−1}} q(s, a) corrects V for the others' moves. q^i is the part of q that depends
    on the agent's own action; the others' part is a baseline. The mean is exact if V + q = Q^{π̂},
    or if λ = 1 and c̄ = ∞: see `theory.estimates.doubly_robust`. With q = 0 this is `trace`. The
    paper has no such term. After the batch's last step and after a truncation, u is not known and
    taken as 0.

    Args:
        reward, value, next_value, done, log_ratio: [T, ...], see `traces`.
        action_value: [T, E, 1] q(s_t, a_t), in the unit of the reward.
        own_action_value, value_shift: [T, E, K] q^i and u(s_t).
        gamma, gae_lambda, trace_clip, trace_decay: as for `trace`.

    Returns:
        A [T, E, K].
    """
    tail = trace(
        reward,
        value + action_value,
        next_value + going_on(done, value_shift) * shifted(value_shift),
        done,
        log_ratio,
        gamma=gamma,
        gae_lambda=gae_lambda,
        trace_clip=trace_clip,
        trace_decay=trace_decay,
    )
    return own_action_value + tail
