"""Step-wise weighted importance sampling over a list of trajectories."""

import numpy as np


def cut(first):
    """The trajectories in a batch: a list of (environment, its steps). `first` is [T, E]."""
    pieces = []
    for e in range(first.shape[1]):
        steps = []
        for t in range(first.shape[0]):
            if first[t, e] and steps:
                pieces.append((e, steps))
                steps = []
            steps.append(t)
        pieces.append((e, steps))
    return pieces


def stepwise_wis(ratio, first, inclusive, normaliser="mean"):
    """ω of each sample [T, E]: the product of the ratios before it (or with it), over its mean.

    The mean (or sum) is over all trajectories that reach as many steps from their start.
    """
    pieces = cut(first)
    product = {}
    for e, steps in pieces:
        for age, t in enumerate(steps):
            last = age + 1 if inclusive else age
            total = 1.0
            for k in range(last):
                total *= ratio[steps[k], e]
            product[e, t] = total
    out = np.zeros(ratio.shape)
    for e, steps in pieces:
        for age, t in enumerate(steps):
            peers = [product[f, other[age]] for f, other in pieces if len(other) > age]
            unit = sum(peers) if normaliser == "sum" else sum(peers) / len(peers)
            out[t, e] = product[e, t] / unit
    return out
