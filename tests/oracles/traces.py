"""Advantages and value targets as explicit sums of products, for one stream of steps.

Every array has shape [T]. `done[t]` ends an episode after step t. Ratios are plain, not logs.
"""

import numpy as np


def last_step(done, t):
    """Index of the last step of t's episode, or of the batch."""
    while t < len(done) - 1 and not done[t]:
        t += 1
    return t


def td_errors(reward, value, next_value, gamma):
    return [reward[t] + gamma * next_value[t] - value[t] for t in range(len(reward))]


def product(factors):
    total = 1.0
    for factor in factors:
        total *= factor
    return total


def cut(ratio, lam, trace_clip, decay):
    """How much of a trace lives on: λ min(c̄, r), with λ outside min(λ c̄, r), or λ² min(c̄, r)."""
    if decay == "factor":
        return lam * min(trace_clip, ratio)
    if decay == "twice":
        return lam * lam * min(trace_clip, ratio)
    assert decay == "bound"
    return min(lam * trace_clip, ratio)


def gae(reward, value, next_value, done, *, gamma, lam):
    """Σ_{k≥t} (γλ)^{k−t} δ_k."""
    delta = td_errors(reward, value, next_value, gamma)
    out = []
    for t in range(len(reward)):
        end = last_step(done, t)
        out.append(sum((gamma * lam) ** (k - t) * delta[k] for k in range(t, end + 1)))
    return np.array(out)


def preceding_agent_trace(
    reward, value, next_value, done, ratio, *, gamma, lam, trace_clip=1.0, decay="factor"
):
    """δ_t + Σ_{k≥1} γ^k (Π_{j=1..k} λ min(c̄, r_{t+j})) δ_{t+k}: A2PO's, with its c̄ = 1."""
    delta = td_errors(reward, value, next_value, gamma)
    out = []
    for t in range(len(reward)):
        total = delta[t]
        for k in range(1, last_step(done, t) - t + 1):
            trace = product(cut(ratio[t + j], lam, trace_clip, decay) for j in range(1, k + 1))
            total += gamma**k * trace * delta[t + k]
        out.append(total)
    return np.array(out)


def running_trace(reward, value, next_value, done, ratio, *, gamma, lam, trace_clip=1.0):
    """Σ_{k≥t} (γλ)^{k−t} R_k δ_k, R_t = 1 and R_k = R_{k−1} min(c̄ / R_{k−1}, r_k)."""
    delta = td_errors(reward, value, next_value, gamma)
    out = []
    for t in range(len(reward)):
        total, running = delta[t], 1.0
        for k in range(t + 1, last_step(done, t) + 1):
            running = running * min(trace_clip / running, ratio[k])
            total += (gamma * lam) ** (k - t) * running * delta[k]
        out.append(total)
    return np.array(out)


def vtrace_target(
    reward, value, next_value, done, ratio, *, gamma, lam, trace_clip=1.0, decay="factor"
):
    """V(s_t) + Σ_{k≥t} γ^{k−t} (Π_{j=t..k−1} c_j) ρ_k δ_k, c = λ min(c̄, r), ρ = min(c̄, r)."""
    delta = td_errors(reward, value, next_value, gamma)
    out = []
    for t in range(len(reward)):
        total = value[t]
        for k in range(t, last_step(done, t) + 1):
            trace = product(cut(ratio[j], lam, trace_clip, decay) for j in range(t, k))
            total += gamma ** (k - t) * trace * min(trace_clip, ratio[k]) * delta[k]
        out.append(total)
    return np.array(out)


def vtrace_next_advantage(
    reward, value, next_value, done, ratio, *, gamma, lam, trace_clip=1.0, decay="factor"
):
    """r_t + γ v_{t+1} − V(s_t); behind an end, and behind the batch, v_{t+1} is V(s_{t+1})."""
    numbers = {"gamma": gamma, "lam": lam, "trace_clip": trace_clip, "decay": decay}
    target = vtrace_target(reward, value, next_value, done, ratio, **numbers)
    out = []
    for t in range(len(reward)):
        at_end = last_step(done, t) == t
        out.append(reward[t] + gamma * (next_value[t] if at_end else target[t + 1]) - value[t])
    return np.array(out)


def eq14_target(
    reward, value, next_value, done, ratio, *, gamma, lam, trace_clip=1.0, decay="factor"
):
    """V(s_t) + Σ_{k≥t} γ^{k−t} (Π_{j=t..k} c_j) δ_k, the product with both its ends."""
    delta = td_errors(reward, value, next_value, gamma)
    out = []
    for t in range(len(reward)):
        total = value[t]
        for k in range(t, last_step(done, t) + 1):
            trace = product(cut(ratio[j], lam, trace_clip, decay) for j in range(t, k + 1))
            total += gamma ** (k - t) * trace * delta[k]
        out.append(total)
    return np.array(out)


def over_streams(function, *arrays, **numbers):
    """Apply a function of [T] arrays to each stream of [T, E, K] arrays (broadcast first)."""
    arrays = np.broadcast_arrays(*arrays)
    out = np.zeros(arrays[0].shape)
    for e in range(out.shape[1]):
        for k in range(out.shape[2]):
            out[:, e, k] = function(*(x[:, e, k] for x in arrays), **numbers)
    return out


def doubly_robust(
    reward,
    value,
    next_value,
    done,
    ratio,
    q,
    own,
    shift,
    *,
    gamma,
    lam,
    trace_clip=1.0,
    decay="factor",
):
    """q^i_t + δ_t + Σ_{k≥1} γ^k (Π c) δ_{t+k}, δ = r + γ (V' + u') − V − q; no u' where unknown."""
    steps, delta = len(reward), []
    for t in range(steps):
        known = t + 1 < steps and not done[t]
        after = next_value[t] + (shift[t + 1] if known else 0.0)
        delta.append(reward[t] + gamma * after - value[t] - q[t])
    out = []
    for t in range(steps):
        total = own[t] + delta[t]
        for k in range(1, last_step(done, t) - t + 1):
            trace = product(cut(ratio[t + j], lam, trace_clip, decay) for j in range(1, k + 1))
            total += gamma**k * trace * delta[t + k]
        out.append(total)
    return np.array(out)
