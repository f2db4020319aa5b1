"""What an algorithm is to the update: its schedule and its corrections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opspo.types import Array, Correction, StageData
from opspo.update.schedule import Schedule
from opspo.update.state_weights import StateWeight
from opspo.update.step import ActionRatio, LiveRange

Counted = Callable[[Array, Array, Array], Array]
"""(log-ratios of all [T, E, N], agents [K], rank [N]) → log-ratio that counts [T, E, K]."""


@dataclass(frozen=True)
class Algorithm:
    """The named choices in which the algorithms differ; the mechanics are in `update.stage`."""

    schedule: Schedule
    correct: Callable[[StageData, Array], Correction]
    """The terms of the surrogate for a stage, from its data and the state weight ω"""
    state_weight: StateWeight
    trace_agents: Counted
    """Whose ratios count in the traces"""
    weight_agents: Counted
    """Whose ratios count in the weights and ranges"""
    action_ratio: ActionRatio
    """The ratio of an action of several dimensions, as the objective takes it"""
    values_anew: bool = False
    """Each stage's values are of the critic as the stages before have left it"""
    live_range: LiveRange | None = None
    """Weight and range by the others' ratio at each gradient step, where all move at once"""
