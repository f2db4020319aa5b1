"""Ratios between policies, with plain probabilities instead of logarithms."""

import math


def action_ratio(probability, behaviour_probability):
    """Mean over an action's dimensions of their ratios; both [D]."""
    ratios = [p / q for p, q in zip(probability, behaviour_probability, strict=True)]
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
