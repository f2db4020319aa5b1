"""OPSPO: one agent after another, corrected for what the preceding agents have changed.

Sequential, in semi-greedy order. AEC corrects the advantage A, SDC the state distribution by
ω̃ = min(ω, 1), CRC the weight r̃ and the clip range:

    r̃ ω̃ · min( r^i A, clip(r^i, l^i, h^i) A )
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from opspo.algorithms import names
from opspo.algorithms.sequential import SequentialConfig


@dataclass(frozen=True, kw_only=True)
class OPSPOConfig(SequentialConfig):
    """OPSPO: sequential, corrected for what the preceding agents have changed."""

    name: ClassVar[str] = "opspo"

    order: names.OrderName = "semi_greedy"
    block_epochs: Literal["all", "divided"] = "all"
    cumulative_blocks: bool = True
    critic: Literal["central", "local"] = "central"
    advantage: names.AdvantageName = "trace"
    baseline: names.BaselineName = "none"
    trace_decay: names.TraceDecayName = "factor"
    trace_clip: float = 1.0
    value_target: names.ValueTargetName = "advantage"
    state_weight: names.StateWeightName = "stepwise"
    state_weight_min: float = 0.0
    state_weight_max: float = 1.0
    clip_range: names.ClipRangeName = "corrected"
    trace_agents: names.TraceScopeName = "others"
    weight_agents: names.WeightScopeName = "others"
    values: Literal["collected", "anew", "ahead"] = "collected"
    action_ratio: names.ActionRatioName = "product"
