"""MAPPO: PPO for each agent, with one central critic (Yu et al. 2022).

Simultaneous. A by GAE(λ) of V(s);   min( r^i A, clip(r^i, 1 ± ε) A )
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from opspo.algorithms import names
from opspo.algorithms.common import AlgorithmConfig


@dataclass(frozen=True, kw_only=True)
class MAPPOConfig(AlgorithmConfig):
    """MAPPO: simultaneous PPO with one central critic."""

    name: ClassVar[str] = "mappo"

    critic: Literal["central", "local"] = "central"
    advantage: names.AdvantageName = "gae"
    baseline: names.BaselineName = "none"
    value_target: names.ValueTargetName = "advantage"
    state_weight: names.StateWeightName = "none"
    clip_range: names.ClipRangeName = "ppo"
    action_ratio: names.ActionRatioName = "product"
