"""IPPO: PPO for each agent, with a critic of its own observation (de Witt et al. 2020).

Simultaneous. A by GAE(λ) of V(o^i);   min( r^i A, clip(r^i, 1 ± ε) A )
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from opspo.algorithms import names
from opspo.algorithms.common import AlgorithmConfig


@dataclass(frozen=True, kw_only=True)
class IPPOConfig(AlgorithmConfig):
    """IPPO: simultaneous PPO, each agent with a critic of its own observation."""

    name: ClassVar[str] = "ippo"

    critic: Literal["central", "local"] = "local"
    advantage: names.AdvantageName = "gae"
    baseline: names.BaselineName = "none"
    value_target: names.ValueTargetName = "advantage"
    state_weight: names.StateWeightName = "none"
    clip_range: names.ClipRangeName = "ppo"
    action_ratio: names.ActionRatioName = "product"
