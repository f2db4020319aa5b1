"""Advantages and value targets (AEC and GAE), by the names that they have in the config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from opspo.config import AlgorithmConfig
from opspo.estimators import traces
from opspo.types import Array, StageData


def advantage_and_target(config: AlgorithmConfig) -> Callable[[StageData], tuple[Array, Array]]:
    """Stage data → advantage and value target [T, E, K]."""
    numbers: dict[str, Any] = {"gamma": config.gamma, "gae_lambda": config.gae_lambda}
    cuts = {"factor": traces.factor_cut, "bound": traces.bound_cut}

    def gae(data: StageData) -> Array:
        advantage = traces.gae(data.reward, data.value, data.next_value, data.done, **numbers)
        return jnp.broadcast_to(advantage, data.log_ratio.shape)

    def corrected(trace: Callable[..., Array]) -> Callable[[StageData], Array]:
        return lambda data: trace(
            data.reward,
            data.value,
            data.next_value,
            data.done,
            data.trace_log_ratio,
            **numbers,
            trace_clip=config.trace_clip,
            cut=cuts[config.trace_decay],
        )

    to_advantage: Callable[[StageData], Array] = {
        "gae": gae,
        "td": corrected(traces.aec_td),
        "vtrace_next": corrected(traces.aec_vtrace_next),
        "trace": corrected(traces.aec_trace),
    }[config.advantage]
    to_target: Callable[[StageData, Array], Array] = {
        "advantage": lambda data, advantage: data.value + advantage,
        "gae": lambda data, _: data.value + gae(data),
        "printed": lambda data, _: corrected(traces.printed_value_target)(data),
    }[config.value_target]

    def both(data: StageData) -> tuple[Array, Array]:
        advantage = to_advantage(data)
        return advantage, to_target(data, advantage)

    return both
