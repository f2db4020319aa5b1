"""The pieces that algorithms are composed of, by the names that they have in the config."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from opspo.algorithms.advantages import advantage_and_target
from opspo.algorithms.ranges import clip_range
from opspo.algorithms.ratios import ACTION_RATIOS, COUNTED
from opspo.algorithms.setting import Setting
from opspo.algorithms.state_weights import make_state_weight
from opspo.config import AlgorithmConfig, SequentialConfig
from opspo.types import Array, Correction, StageData
from opspo.update.algorithm import Algorithm
from opspo.update.order import ORDERS
from opspo.update.schedule import Schedule, in_blocks, one_by_one, simultaneous


def corrector(config: AlgorithmConfig) -> Callable[[StageData, Array], Correction]:
    """The terms of the surrogate that the config names, from a stage's data and ω."""
    estimate, to_range = advantage_and_target(config), clip_range(config)

    def correct(data: StageData, omega: Array) -> Correction:
        advantage, value_target = estimate(data)
        weight, low, high = to_range(data.log_ratio, data.position, data.nearness)
        # ω̃ = min(ω, 1), Section 3.3
        bounded = jnp.clip(omega, config.state_weight_min, config.state_weight_max)
        return Correction(
            advantage=advantage,
            value_target=value_target,
            weight=weight * bounded,
            low=low,
            high=high,
            state_weight=omega,
        )

    return correct


def at_once(config: AlgorithmConfig, setting: Setting) -> Algorithm:
    """All agents in one stage. Nobody precedes; the others' ratio counts as it is at each step."""
    to_range = clip_range(config)

    def live_range(log_ratio: Array) -> tuple[Array, Array, Array]:
        last = jnp.ones(log_ratio.shape[-1])
        return to_range(log_ratio, last, last)

    return Algorithm(
        schedule=simultaneous(num_agents=setting.team.num_members, epochs=config.epochs),
        correct=corrector(config),
        state_weight=make_state_weight(config, setting),
        trace_agents=COUNTED["others"],
        weight_agents=COUNTED["others"],
        action_ratio=ACTION_RATIOS[config.action_ratio],
        live_range=live_range,
    )


def in_turn(config: SequentialConfig, setting: Setting) -> Algorithm:
    """One agent after another; with shared parameters in blocks (A2PO's public settings)."""
    return Algorithm(
        schedule=_schedule_in_turn(config, setting),
        correct=corrector(config),
        state_weight=make_state_weight(config, setting),
        trace_agents=COUNTED[config.trace_agents],
        weight_agents=COUNTED[config.weight_agents],
        action_ratio=ACTION_RATIOS[config.action_ratio],
        values_anew=config.values == "anew",
    )


def _schedule_in_turn(config: SequentialConfig, setting: Setting) -> Schedule:
    order, agents = ORDERS[config.order], setting.team.num_members
    if not setting.team.shared:
        return one_by_one(order, num_agents=agents, epochs=config.epochs)
    return in_blocks(
        order,
        num_agents=agents,
        rounds=config.rounds(agents),
        blocks=config.blocks,
        cumulative=config.cumulative_blocks,
    )
