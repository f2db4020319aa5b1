"""What an algorithm is, and the pieces it may be composed of, by the names in the config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp

from opspo.config import AlgorithmConfig
from opspo.estimators import state_weights, traces
from opspo.objectives import corrections
from opspo.types import Array, Correction, StageData
from opspo.update.schedule import Schedule


@dataclass(frozen=True)
class Algorithm:
    """A schedule, and how to correct the data at the start of each of its stages."""

    schedule: Schedule
    correct: Callable[[StageData], Correction]


def _gae(
    reward: Array,
    value: Array,
    next_value: Array,
    done: Array,
    log_ratio: Array,
    **numbers: float,
) -> Array:
    advantage = traces.gae(reward, value, next_value, done, **numbers)
    return jnp.broadcast_to(advantage, log_ratio.shape)


ADVANTAGES: dict[str, Callable[..., Array]] = {
    "gae": _gae,
    "td": traces.aec_td,
    "vtrace_next": traces.aec_vtrace_next,
    "trace": traces.aec_trace,
}
"""(reward, value, next_value, done, log_ratio, *, gamma, gae_lambda) → advantage [T, E, K]."""

STATE_WEIGHTS: dict[str, Callable[[Array, Array], Array]] = {
    "none": lambda log_ratio, first: jnp.ones_like(log_ratio),
    "stepwise": state_weights.stepwise_wis,
    "stepwise_inclusive": partial(state_weights.stepwise_wis, inclusive=True),
}
"""(log_ratio [T, E, K], first [T, E]) → ω [T, E, K]."""


def clip_range(config: AlgorithmConfig) -> Callable[[Array], tuple[Array, Array, Array]]:
    """log_ratio → weight, low, high."""
    return {
        "ppo": partial(corrections.ppo_range, clip=config.clip),
        "corrected": partial(
            corrections.opspo_range, clip=config.clip, others_clip=config.others_clip
        ),
    }[config.clip_range]


def compose(config: AlgorithmConfig) -> Callable[[StageData], Correction]:
    """The correction that the config's `advantage`, `state_weight` and `clip_range` name."""
    numbers: dict[str, Any] = {"gamma": config.gamma, "gae_lambda": config.gae_lambda}
    to_weight_and_range = clip_range(config)

    def correct(data: StageData) -> Correction:
        arrays = (data.reward, data.value, data.next_value, data.done, data.log_ratio)
        advantage = ADVANTAGES[config.advantage](*arrays, **numbers)
        value_target = {
            "advantage": lambda: data.value + advantage,
            "gae": lambda: data.value + _gae(*arrays, **numbers),
            "printed": lambda: traces.printed_value_target(*arrays, **numbers),
        }[config.value_target]()
        omega = STATE_WEIGHTS[config.state_weight](data.log_ratio, data.first[..., 0])
        weight, low, high = to_weight_and_range(data.log_ratio)
        return Correction(
            advantage=advantage,
            value_target=value_target,
            weight=weight * jnp.minimum(omega, 1),  # ω̃ = min(ω, 1), Section 3.3
            low=low,
            high=high,
            state_weight=omega,
        )

    return correct
