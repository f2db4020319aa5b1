"""Theorem 3: how far the nearest maximiser of a clipped surrogate at one sample is.

A policy here is a list of probabilities of joint actions at one state: `behaviour` π collected
the sample, `current` π̂^{i−1} is to be improved on, `new` π̂^i is sought.
"""

import math

import numpy as np
from scipy.optimize import minimize


def surrogate(new, behaviour, advantage, low, high):
    """min( R A, clip(R, low, high) A ) with R = new / behaviour, at the sampled action."""
    ratio = new / behaviour
    clipped = low if ratio < low else high if ratio > high else ratio
    return min(ratio * advantage, clipped * advantage)


def printed_kl(p, advantage, low, high):
    """KL(π̂^{i−1} ‖ nearest maximiser), p = π̂^{i−1}(a | s), as Eq. 29 and 32 have it."""
    end = high if advantage > 0 else low
    if end * p >= 1:
        return math.inf
    return (1 - p) * math.log((1 - p) / (1 - p * end)) - p * math.log(end)


def printed_maximiser(current, action, advantage, low, high):
    """Eq. 28 and 31: the sampled action goes to l p or min(h p, 1), the others share the rest."""
    p = current[action]
    target = min(high * p, 1.0) if advantage > 0 else low * p
    new = np.asarray(current) * (1 - target) / (1 - p)
    new[action] = target
    return new


def kl(p, q):
    return float(sum(a * math.log(a / b) if b > 0 else math.inf for a, b in zip(p, q, strict=True)))


def maximising_probabilities(objective):
    """The interval of q(a) in [0, 1] on which an objective of q(a) is largest, by trying.

    The objective is monotone and concave, so that the interval touches 0 or 1.
    """
    values = [objective(x) for x in np.linspace(0, 1, 501)]
    best = max(values)
    inside, outside = (0.0, 1.0) if values[0] == best else (1.0, 0.0)
    if values[0] == values[-1] == best:
        return 0.0, 1.0
    for _ in range(60):
        middle = (inside + outside) / 2
        if objective(middle) >= best - 1e-14:
            inside = middle
        else:
            outside = middle
    return (0.0, inside) if values[0] == best else (inside, 1.0)


def nearest(current, action, interval):
    """The policy with q(action) in the interval that is nearest to `current`, numerically.

    Minimises KL(current ‖ q) over the simplex.
    """
    low, high = interval
    bounds = [(1e-9, 1.0)] * len(current)
    bounds[action] = (max(low, 1e-9), high)
    start = np.full(len(current), 1 / len(current))
    found = minimize(
        lambda q: -np.sum(current * np.log(q / current)),
        start,
        jac=lambda q: -current / q,
        bounds=bounds,
        constraints={
            "type": "eq",
            "fun": lambda q: q.sum() - 1,
            "jac": lambda q: np.ones((1, len(current))),
        },
        method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-14},
    )
    assert found.success, found.message
    return found.x
