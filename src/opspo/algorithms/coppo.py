"""CoPPO: PPO in which each step is weighted by the team-mates' ratio (Wu et al. 2021).

Simultaneous. A by GAE(λ) of V(s), and with ε2 < ε1

    g = clip(Π_{j≠i} r^j, 1 ± ε2);   min( g r^i A, clip(g r^i, 1 ± ε1) A )

g is that of the present policies at every gradient step, and is not differentiated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from opspo.algorithms import names
from opspo.algorithms.common import AlgorithmConfig


@dataclass(frozen=True, kw_only=True)
class CoPPOConfig(AlgorithmConfig):
    """CoPPO: simultaneous PPO, weighted by how far the team-mates have moved."""

    name: ClassVar[str] = "coppo"

    critic: Literal["central", "local"] = "central"
    advantage: names.AdvantageName = "gae"
    baseline: names.BaselineName = "none"
    value_target: names.ValueTargetName = "advantage"
    state_weight: names.StateWeightName = "none"
    clip_range: names.ClipRangeName = "double"
    action_ratio: names.ActionRatioName = "product"
