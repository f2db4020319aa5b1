"""The building blocks of advantages and value targets: TD errors, and sums that decay over time.

Shapes, here and in `advantages`, `value_targets` and `trace_decays`: every array has time on its
first axis, and the other axes broadcast; in training, arrays are [T, E, 1] or [T, E, K]. Index t of
`reward`, `value` and `done` is the step at which the action was taken. `next_value[t]` is
V(s_{t+1}) of the true successor: 0 after a termination, and the value of the last state at a
truncation. `done[t]` says that the episode ended after step t, by either, so no trace crosses it.
`log_ratio[t]` is log r_t, with the joint ratio π̂^{i−1}(a_t|s_t) / π(a_t|s_t). Rewards and values
are in the unit of the reward.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from opspo.types import Array


def discounted_sum(x: Array, coefficient: Array) -> Array:
    """y_t = x_t + coefficient_t · y_{t+1}, with y_T = 0, by one reverse scan.

    Args:
        x: [T, ...].
        coefficient: [T, ...], the same shape as `x`.

    Returns:
        y [T, ...].
    """

    def step(y: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        x, coefficient = now
        y = x + coefficient * y
        return y, y

    _, out = jax.lax.scan(step, jnp.zeros_like(x[0]), (x, coefficient), reverse=True)
    return out


def td_error(reward: Array, value: Array, next_value: Array, *, gamma: float) -> Array:
    """δ_t = r_t + γ V(s_{t+1}) − V(s_t).

    Args:
        reward, value, next_value: [T, ...].
        gamma: γ.

    Returns:
        δ [T, ...], in the reward's unit.
    """
    return reward + gamma * next_value - value


def going_on(done: Array, like: Array) -> Array:
    """1 where the episode continues after step t, else 0: [T, ...] in the dtype of `like`."""
    return 1 - done.astype(like.dtype)


def shifted(x: Array) -> Array:
    """x [T, ...] shifted by one step: x_{t+1} at index t, and 0 at the last."""
    return jnp.concatenate([x[1:], jnp.zeros_like(x[:1])])


def vtrace_excess(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    *,
    gamma: float,
    gae_lambda: float,
    trace_clip: float,
    trace_decay: Callable[..., Array],
) -> Array:
    """v_t − V(s_t) of IMPALA's target (Espeholt et al. 2018, Eq. 1).

    Σ_{k≥t} γ^{k−t} (Π_{j=t..k−1} c_j) ρ_k δ_k with ρ_k = min(c̄, r_k), up to the episode's end.

    Args:
        reward, value, next_value, done, log_ratio: [T, ...].
        gamma, gae_lambda: γ, λ.
        trace_clip: c̄, which also bounds ρ.
        trace_decay: log r → c, as in `trace_decays`.

    Returns:
        [T, ...], in the unit of the reward.
    """
    delta = td_error(reward, value, next_value, gamma=gamma)
    delta, going, log_ratio = jnp.broadcast_arrays(delta, going_on(done, delta), log_ratio)
    c = trace_decay(log_ratio, gae_lambda=gae_lambda, trace_clip=trace_clip)
    rho = jnp.exp(jnp.minimum(log_ratio, math.log(trace_clip)))
    return discounted_sum(rho * delta, gamma * c * going)
