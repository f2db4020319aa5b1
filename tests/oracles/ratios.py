"""Ratios between policies, with plain probabilities instead of logarithms."""

import math


def whole_ratio(probability, behaviour_probability, own):
    """Product over the action's own dimensions of their ratios; all [D]."""
    total = 1.0
    for p, q, counts in zip(probability, behaviour_probability, own, strict=True):
        if counts:
            total *= p / q
    return total


def mean_ratio(probability, behaviour_probability, own):
    """Mean over the action's own dimensions of their ratios; all [D]."""
    each = zip(probability, behaviour_probability, own, strict=True)
    ratios = [p / q for p, q, counts in each if counts]
    return sum(ratios) / len(ratios)


def others_ratio(ratios, agent):
    """Product of the ratios [N] of everybody but the agent."""
    total = 1.0
    for other, ratio in enumerate(ratios):
        if other != agent:
            total *= ratio
    return total


def preceding_ratio(ratios, agent, order):
    """Product of the ratios [N] of those before the agent in the order (a list of agents)."""
    total = 1.0
    for other in order:
        if other == agent:
            return total
        total *= ratios[other]
    raise ValueError(agent)


def effective_sample_size(weights):
    """(Σ w)² / (n Σ w²)."""
    total = square = 0.0
    for weight in weights:
        total += weight
        square += weight * weight
    return total * total / (len(weights) * square)


def kl(p, q):
    """KL(p ‖ q) of two lists of probabilities."""
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
