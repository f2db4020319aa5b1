"""Games with opponents, which are no team: known by name, or by the rewards of random play."""

from __future__ import annotations

from itertools import combinations

import numpy as np

OPPONENTS = "has opponents that would have to learn too, and opspo trains one team"
"""Why such a game is refused, in every adapter"""
MPE_GAMES = ("simple_adversary", "simple_crypto", "simple_push", "simple_tag", "simple_world_comm")
"""Those of the multi-agent particle environments"""
LEAST_STEPS = 8
"""How often two agents must have been paid at once before their rewards say anything"""
LEAST_CORRELATION = -0.5
"""What pays one agent must cost the other, over all steps at least to this degree"""


def is_known_game(module: str) -> bool:
    """Whether an environment whose class is from that module is one of `MPE_GAMES`."""
    package, *rest = module.split(".")
    return package in ("mpe2", "pettingzoo") and bool(set(rest) & set(MPE_GAMES))


def opposed_pair(rewards: np.ndarray) -> tuple[int, int] | None:
    """Two agents whose rewards are opposed.

    Their signs differ at every step that pays both, at `LEAST_STEPS` of them or more, and one's
    gain goes with the other's loss: either they cancel at every step or their correlation over all
    steps is at most `LEAST_CORRELATION`. Signs alone do not do: in a team where one agent is paid
    for what is found and another pays for its fuel they differ, too.

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
    """Pearson's; 0 where either does not vary."""
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale > 0 else 0.0
