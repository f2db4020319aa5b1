"""The agents' numbers in a trained network's first layer: reordering or removing them.

A shared network sees [observation, one-hot number] (`policy.agent_id`). Arrays are those of one
member, keyed by their path: `params.torso.Dense_0.kernel` [d + N, h], `params.torso.Dense_0.bias`
[h], and with running normalisation `statistics.torso.input.mean` and `….variance` [d + N].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from opspo.policies.modules import RunningNorm

KERNEL, BIAS = "params.torso.Dense_0.kernel", "params.torso.Dense_0.bias"
MEAN, VARIANCE = "statistics.torso.input.mean", "statistics.torso.input.variance"


def renumbered(arrays: Mapping[str, np.ndarray], order: Sequence[int]) -> dict[str, np.ndarray]:
    """The network that does for agent i what the given one does for agent `order[i]`."""
    moved = {}
    for name in (KERNEL, MEAN, VARIANCE):
        if name in arrays:
            seen, numbers = np.split(arrays[name], [len(arrays[name]) - len(order)])
            moved[name] = np.concatenate([seen, numbers[list(order)]])
    return {**arrays, **moved}


def numbers_to_biases(
    arrays: Mapping[str, np.ndarray], agents: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Networks without numbers, one per agent, that do exactly what the one with numbers does.

    Not for networks with a layer norm over the input, which mixes the number with the observation.

    Args:
        arrays: those of the network with numbers.
        agents: N.

    Returns:
        The arrays that are the same for all agents, and those that have a leading axis [N].
    """
    size = len(arrays[KERNEL]) - agents
    numbers = np.eye(agents, dtype=arrays[KERNEL].dtype)
    same = {**arrays, KERNEL: arrays[KERNEL][:size]}
    if MEAN in arrays:
        same |= {name: arrays[name][:size] for name in (MEAN, VARIANCE)}
        deviation = np.sqrt(arrays[VARIANCE][size:] + RunningNorm.EPSILON)
        scaled = (numbers - arrays[MEAN][size:]) / deviation
        numbers = np.clip(scaled, -RunningNorm.LIMIT, RunningNorm.LIMIT)
    each = {BIAS: same.pop(BIAS) + numbers @ arrays[KERNEL][size:]}
    return same, each
