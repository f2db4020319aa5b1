"""Settings of each algorithm: one base, and a class for each with its own numbers and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from opspo.config.errors import require

AdvantageName = Literal["gae", "td", "vtrace_next", "trace"]
ValueTargetName = Literal["advantage", "printed", "gae"]
StateWeightName = Literal["none", "stepwise", "stepwise_inclusive"]
ClipRangeName = Literal["ppo", "corrected"]
OrderName = Literal[
    "cyclic",
    "reverse_cyclic",
    "random",
    "greedy",
    "reverse_greedy",
    "semi_greedy",
    "reverse_semi_greedy",
]


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig:
    """What every algorithm has; each one's own class adds its numbers and moves the defaults."""

    name: ClassVar[str]

    gamma: float = 0.99
    """Discount a step."""
    gae_lambda: float = 0.95
    """Decay λ of the advantage traces (the paper's tables print it as γ, erratum E1)."""
    epochs: int = 10
    """Passes over the batch in each iteration."""
    minibatches: int = 1
    """Parts into which each pass is cut."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    normalise_advantage: bool = True
    """Scale advantages to zero mean and unit variance over the living agents' samples."""
    advantage: AdvantageName = "gae"
    """Advantage estimator: `gae`, or AEC as `td`, `vtrace_next` or `trace` (erratum E3)."""
    value_target: ValueTargetName = "advantage"
    """Critic target: V + advantage, Eq. 14 as `printed`, or the plain `gae` return."""
    state_weight: StateWeightName = "none"
    """SDC: `none`, or step-wise importance sampling over earlier (`stepwise`) or earlier and
    present actions (`stepwise_inclusive`, as printed; erratum E6)."""
    clip_range: ClipRangeName = "ppo"
    """`ppo`: 1 ± clip. `corrected`: the range and weight of CRC (Section 3.3)."""
    clip: float = 0.2
    """ε, or ε1 of the corrected range."""
    others_clip: float = 0.1
    """ε2, the least reach of the corrected range."""
    normalise_weight: bool = False
    """Scale the weights of the objective to mean 1 over the living agents' samples."""

    def __post_init__(self) -> None:
        require(0 < self.gamma <= 1, "algorithm.gamma", "in (0, 1]", self.gamma)
        require(0 <= self.gae_lambda <= 1, "algorithm.gae_lambda", "in [0, 1]", self.gae_lambda)
        for name in ("epochs", "minibatches"):
            require(
                getattr(self, name) >= 1, f"algorithm.{name}", "at least 1", getattr(self, name)
            )
        require(0 < self.clip < 1, "algorithm.clip", "in (0, 1)", self.clip)
        require(
            self.clip_range == "ppo" or 0 < self.others_clip < self.clip,
            "algorithm.others_clip",
            f"in (0, algorithm.clip = {self.clip})",
            self.others_clip,
        )


@dataclass(frozen=True, kw_only=True)
class MAPPOConfig(AlgorithmConfig):
    """MAPPO: all agents at once, each by PPO's clipped objective with one central critic."""

    name: ClassVar[str] = "mappo"


@dataclass(frozen=True, kw_only=True)
class OPSPOConfig(AlgorithmConfig):
    """OPSPO: agents one after another, corrected for what their team-mates have changed."""

    name: ClassVar[str] = "opspo"

    advantage: AdvantageName = "trace"
    state_weight: StateWeightName = "stepwise"
    clip_range: ClipRangeName = "corrected"
    order: OrderName = "semi_greedy"
    """Order in which agents are updated (erratum E10)."""
    blocks: int = 2
    """Shared parameters: groups into which the order is cut; each is one update an epoch."""
    cumulative_blocks: bool = True
    """Shared parameters: a group's update includes the groups before it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.blocks >= 1, "algorithm.blocks", "at least 1", self.blocks)


ALGORITHM_CONFIGS: dict[str, type[AlgorithmConfig]] = {
    config.name: config for config in (OPSPOConfig, MAPPOConfig)
}
