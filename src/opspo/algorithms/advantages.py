"""Advantages and value targets (AEC and GAE), by the names that they have in the config."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp

from opspo.config import AlgorithmConfig
from opspo.estimators import traces
from opspo.types import Array, StageData


def advantage_and_target(config: AlgorithmConfig) -> Callable[[StageData], tuple[Array, Array]]:
    """Stage data → advantage and value target [T, E, K]."""
    numbers: dict[str, Any] = {"gamma": config.gamma, "gae_lambda": config.gae_lambda}
    cuts = {
        "factor": {"cut": traces.factor_cut},
        "bound": {"cut": traces.bound_cut},
        "twice": {"cut": traces.twice_cut},
        "running": {},  # not a matter of each step
    }
    trace = traces.aec_running_trace if config.trace_decay == "running" else traces.aec_trace

    def gae(data: StageData) -> Array:
        advantage = traces.gae(data.reward, data.value, data.next_value, data.done, **numbers)
        return jnp.broadcast_to(advantage, data.log_ratio.shape)

    def along(trace: Callable[..., Array], data: StageData) -> Array:
        return trace(
            data.reward,
            data.value,
            data.next_value,
            data.done,
            data.trace_log_ratio,
            **numbers,
            trace_clip=config.trace_clip,
            **cuts[config.trace_decay],
        )

    def corrected(trace: Callable[..., Array]) -> Callable[[StageData], Array]:
        if config.trace_decay != "twice":
            return partial(along, trace)
        # A2PO's public code begins with GAE, and switches to the trace at the second stage
        return lambda data: jnp.where(data.stage == 0, gae(data), along(trace, data))

    to_advantage: Callable[[StageData], Array] = {
        "gae": gae,
        "td": corrected(traces.aec_td),
        "vtrace_next": corrected(traces.aec_vtrace_next),
        "trace": corrected(trace),
    }[config.advantage]
    to_target: Callable[[StageData, Array], Array] = {
        "advantage": lambda data, advantage: data.value + advantage,
        "gae": lambda data, _: data.value + gae(data),
        "printed": lambda data, _: along(traces.printed_value_target, data),
    }[config.value_target]

    def both(data: StageData) -> tuple[Array, Array]:
        advantage = to_advantage(data)
        return advantage, to_target(data, advantage)

    return both
