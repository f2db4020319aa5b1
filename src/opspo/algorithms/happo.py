"""HAPPO: one agent after another, weighted by the preceding agents' ratio (Kuba et al. 2022).

Sequential, in random order. A by GAE(λ) of V(s), and M = r^{i−1} A;

    min( r^i M, clip(r^i, 1 ± ε) M )
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from opspo.algorithms import names
from opspo.algorithms.sequential import SequentialConfig


@dataclass(frozen=True, kw_only=True)
class HAPPOConfig(SequentialConfig):
    """HAPPO: sequential, weighted by the ratio of the agents already updated."""

    name: ClassVar[str] = "happo"

    order: names.OrderName = "random"
    block_epochs: Literal["all", "divided"] = "all"
    cumulative_blocks: bool = True
    critic: Literal["central", "local"] = "central"
    advantage: names.AdvantageName = "gae"
    baseline: names.BaselineName = "none"
    value_target: names.ValueTargetName = "advantage"
    state_weight: names.StateWeightName = "none"
    clip_range: names.ClipRangeName = "ratio"
    weight_agents: names.WeightScopeName = "others"
    values: Literal["collected", "anew", "ahead"] = "collected"
    action_ratio: names.ActionRatioName = "product"
