"""Games with opponents rather than one team, recognised by name or by rewards in random play."""

from __future__ import annotations

from itertools import combinations

import numpy as np

OPPONENTS = "has opponents that would have to learn too, and opspo trains one team"
"""Why every adapter refuses such a game"""
MPE_GAMES = ("simple_adversary", "simple_crypto", "simple_push", "simple_tag", "simple_world_comm")
"""The multi-agent particle environments that have opponents"""
LEAST_STEPS = 8
"""Number of steps that must reward both of two agents before their signs count as evidence"""
LEAST_CORRELATION = -0.5
"""Correlation of two agents' rewards at or below which they count as opposed"""


def is_known_game(module: str) -> bool:
    """Whether an environment whose class is defined in `module` is one of `MPE_GAMES`."""
    package, *rest = module.split(".")
    return package in ("mpe2", "pettingzoo") and bool(set(rest) & set(MPE_GAMES))


def opposed_pair(rewards: np.ndarray) -> tuple[int, int] | None:
    """Two agents whose rewards are opposed.

    Rewards are opposed if their signs differ at every step that rewards both, there are at least
    `LEAST_STEPS` such steps, and one agent's gain is the other's loss: they cancel at every step,
    or their correlation over all steps is at most `LEAST_CORRELATION`. Signs alone are not enough:
    they also differ in a team where one agent is rewarded for finds and another pays for fuel.

    Args:
        rewards: [T, N], 0 for an agent that got none.

    Returns:
        The first such pair, or None.
    """
    for a, b in combinations(range(rewards.shape[1]), 2):
        one, other = rewards[:, a], rewards[:, b]
        both = (one != 0) & (other != 0)
        if both.sum() < LEAST_STEPS or (one * other > 0).any():
            continue
        if (one == -other).all() or _correlation(one, other) <= LEAST_CORRELATION:
            return a, b
    return None


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation; 0 if either is constant."""
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale > 0 else 0.0
