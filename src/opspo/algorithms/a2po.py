"""A2PO: one agent after another, advantages corrected for the preceding agents (Wang et al. 2023).

Sequential, in semi-greedy order.

    A_t = δ_t + Σ_k γ^k (Π_{j=1..k} λ min(1, r_{t+j})) δ_{t+k}
    g = clip(r^{i−1}, 1 ± ε2);   min( g r^i A, clip(g r^i, 1 ± ε_i) A ),   ε_i = ε (½ + ½ i/n)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from opspo.algorithms import names
from opspo.algorithms.sequential import SequentialConfig


@dataclass(frozen=True, kw_only=True)
class A2POConfig(SequentialConfig):
    """A2PO: sequential, advantages and clip range adapted to the preceding agents."""

    name: ClassVar[str] = "a2po"

    order: names.OrderName = "semi_greedy"
    block_epochs: Literal["all", "divided"] = "all"
    cumulative_blocks: bool = True
    critic: Literal["central", "local"] = "central"
    advantage: names.AdvantageName = "trace"
    baseline: names.BaselineName = "none"
    trace_decay: names.TraceDecayName = "factor"
    trace_clip: float = 1.0
    value_target: names.ValueTargetName = "advantage"
    state_weight: names.StateWeightName = "none"
    clip_range: names.ClipRangeName = "double_by_position"
    trace_agents: names.TraceScopeName = "others"
    weight_agents: names.WeightScopeName = "others"
    values: Literal["collected", "anew", "ahead"] = "collected"
    action_ratio: names.ActionRatioName = "product"
