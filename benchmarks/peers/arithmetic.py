"""How much there is to compute: what no update can be faster than, however it is written."""

from __future__ import annotations

import itertools
from typing import Literal

from peers.batch import Settings


def gflop(settings: Settings, code: Literal["harl", "a2po", "opspo"]) -> float:
    """Of the networks' matrix products in one update, in 10^9 additions and multiplications.

    State weights, norms, gates, losses and optimisers are left out.
    """
    outputs = settings.num_actions or settings.action_size
    act, act_step = _products(settings, settings.observation_size, outputs)
    judge, judge_step = _products(settings, settings.state_size, 1)
    agents, epochs = settings.num_agents, settings.epochs
    critic_passes = agents * epochs * (1 + settings.extra_critic_passes)
    if settings.critic_apart:
        critic_passes = settings.critic_epochs
    total = agents * epochs * act_step + critic_passes * judge_step
    if code == "harl":  # the ratios before and after each agent
        total += 2 * agents * act
    elif code == "a2po":  # each step runs all networks; the traces, all actors
        total += agents * epochs * agents * (act + judge) + (agents - 1) * agents * act
    else:  # the values of the batch, and each agent's ratio behind its stage
        total += agents * act + judge
    return total * settings.num_steps * settings.num_envs / 1e9


def _products(settings: Settings, inputs: int, outputs: int) -> tuple[float, float]:
    """A sample's operations forward, and in a gradient step."""
    widths = (inputs, *settings.hidden_sizes)
    weights = sum(a * b for a, b in itertools.pairwise(widths))
    last = widths[-1]
    if settings.recurrent:
        weights += 6 * last**2
    weights += last * outputs
    # no gradient of the inputs
    return 2 * weights, 6 * weights - 2 * inputs * widths[1]
