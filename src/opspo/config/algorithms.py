"""A class for each algorithm, with its own defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from opspo.config.algorithm import (
    AdvantageName,
    AlgorithmConfig,
    ClipRangeName,
    OrderName,
    SequentialConfig,
    StateWeightName,
)


@dataclass(frozen=True, kw_only=True)
class IPPOConfig(AlgorithmConfig):
    """IPPO: all agents at once, each with a critic of its own observation."""

    name: ClassVar[str] = "ippo"

    critic: Literal["central", "local"] = "local"


@dataclass(frozen=True, kw_only=True)
class MAPPOConfig(AlgorithmConfig):
    """MAPPO: all agents at once, each by PPO's clipped objective with one central critic."""

    name: ClassVar[str] = "mappo"


@dataclass(frozen=True, kw_only=True)
class CoPPOConfig(AlgorithmConfig):
    """CoPPO: all agents at once, each step weighted by how far the team-mates have moved."""

    name: ClassVar[str] = "coppo"

    clip_range: ClipRangeName = "double"


@dataclass(frozen=True, kw_only=True)
class HAPPOConfig(SequentialConfig):
    """HAPPO: agents one after another, weighted by the ratio of those already updated."""

    name: ClassVar[str] = "happo"

    order: OrderName = "random"
    clip_range: ClipRangeName = "ratio"


@dataclass(frozen=True, kw_only=True)
class A2POConfig(SequentialConfig):
    """A2PO: agents one after another, advantages and clip range made for those before them."""

    name: ClassVar[str] = "a2po"

    advantage: AdvantageName = "trace"
    clip_range: ClipRangeName = "double_by_position"


@dataclass(frozen=True, kw_only=True)
class OPSPOConfig(SequentialConfig):
    """OPSPO: agents one after another, corrected for what their team-mates have changed."""

    name: ClassVar[str] = "opspo"

    advantage: AdvantageName = "trace"
    state_weight: StateWeightName = "stepwise"
    clip_range: ClipRangeName = "corrected"


ALGORITHM_CONFIGS: dict[str, type[AlgorithmConfig]] = {
    config.name: config
    for config in (OPSPOConfig, A2POConfig, HAPPOConfig, CoPPOConfig, MAPPOConfig, IPPOConfig)
}
