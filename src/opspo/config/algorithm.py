"""Settings that all algorithms have, and those of all that update agents in turn.

The algorithms differ in four named choices (`advantage`, `state_weight`, `clip_range`, and
for the sequential ones `order`). Each may be set for each algorithm, so that an ablation, or
"HAPPO with AEC", is a flag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from opspo.config.density import DensityConfig
from opspo.config.errors import require

ActionRatioName = Literal["product", "mean"]
AdvantageName = Literal["gae", "td", "vtrace_next", "trace"]
ValueTargetName = Literal["advantage", "printed", "gae"]
StateWeightName = Literal[
    "none", "stepwise", "stepwise_inclusive", "stepwise_printed", "linear", "kernel", "minimax"
]
ClipRangeName = Literal[
    "ppo", "ratio", "joint", "double", "double_by_position", "double_by_ratios", "corrected"
]
CountedName = Literal["others", "preceding"]
TraceDecayName = Literal["factor", "bound", "twice", "running"]
TraceCountedName = Literal["others", "preceding", "all"]
BlockEpochsName = Literal["all", "divided"]
OrderName = Literal[
    "cyclic",
    "reverse_cyclic",
    "random",
    "greedy",
    "reverse_greedy",
    "semi_greedy",
    "reverse_semi_greedy",
]

NEEDS_OTHERS_CLIP = ("double", "double_by_position", "double_by_ratios", "corrected")
NEEDS_CENTRAL_CRITIC = ("linear", "kernel", "minimax")
NEEDS_SEPARATE_PARAMETERS = ("kernel", "minimax")


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig:
    """What every algorithm has; each one's own class adds its numbers and moves the defaults."""

    name: ClassVar[str]
    sequential: ClassVar[bool] = False
    """Whether agents are updated one after another."""

    gamma: float = 0.99
    """Discount a step."""
    gae_lambda: float = 0.95
    """Decay λ of the advantage traces (the paper's tables print it as γ, erratum E1)."""
    epochs: int = 10
    """Passes over the batch in each iteration."""
    minibatches: int = 1
    """Parts into which each pass is cut."""
    extra_critic_passes: int = 0
    """Passes of the critic alone before each epoch; 1 is A2PO's two-stage critic."""
    critic_epochs: int = 0
    """Passes of the critic alone after all agents, as HAPPO's authors do; 0: the critic takes
    a step with each of the agents' (Algorithm 1)."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    critic: Literal["central", "local"] = "central"
    """One value of the global state, or one of each agent's own observation (IPPO)."""
    normalise_advantage: bool = True
    """Scale advantages to zero mean and unit variance over the living agents' samples; with
    separate parameters, each agent's over its own."""

    action_ratio: ActionRatioName = "product"
    """Ratio of an action of several dimensions, as the objective takes it: the `product` over them,
    which is the ratio of the policies (public A2PO and HARL), or their `mean` (OPSPO's paper for
    MA-MuJoCo). Traces and density ratios always take the product."""

    advantage: AdvantageName = "gae"
    """Advantage estimator: `gae`, or AEC as `td`, `vtrace_next` or `trace` (erratum E3)."""
    value_target: ValueTargetName = "advantage"
    """Critic target: V + advantage, Eq. 14 as `printed`, or the plain `gae` return."""
    trace_clip: float = 1.0
    """AEC: c̄, where the joint ratio is cut off in the traces."""
    trace_decay: TraceDecayName = "factor"
    """AEC: traces fade by λ min(c̄, r), or by min(λ c̄, r): λ inside or outside (erratum E3); by λ
    `twice`, λ² min(c̄, r), with GAE in the first stage (A2PO's public code); or by λ, with the
    `running` product of the ratios cut off at c̄ (that code's `speedup_trace`; for `trace`)."""

    state_weight: StateWeightName = "none"
    """SDC: `none`; step-wise importance sampling over earlier actions (`stepwise`), over earlier
    and present ones (`stepwise_inclusive`), or that summing to 1 (`stepwise_printed`; erratum E6);
    the density ratio, by a `linear` solve, or by networks against a `kernel` or `minimax`."""
    state_weight_min: float = 0.0
    """SDC: weights are raised to this."""
    state_weight_max: float = 1.0
    """SDC: weights are cut off at this (Section 3.3: min(ω, 1)); inf: not at all."""
    density: DensityConfig = field(default_factory=DensityConfig)

    clip_range: ClipRangeName = "ppo"
    """Range and weight of the surrogate. `ppo`: 1 ± clip. `ratio`: that, weighted by the others'
    ratio (HAPPO). `joint`: the product of both ratios within 1 ± clip (HAPPO in A2PO's public
    code). `double`: their ratio within 1 ± others_clip (CoPPO). `double_by_position`: that,
    the range growing along the order (A2PO's paper), or narrowing with the ratios of all agents at
    the start of the round (`double_by_ratios`, A2PO's public settings for shared parameters).
    `corrected`: CRC (Section 3.3)."""
    clip: float = 0.2
    """ε, or ε1 where there are two."""
    others_clip: float = 0.1
    """ε2: bound on the others' ratio, or the least reach of the corrected range."""
    normalise_weight: bool = False
    """Scale the weights of the objective to mean 1 over the living agents' samples."""

    def __post_init__(self) -> None:
        require(0 < self.gamma <= 1, "algorithm.gamma", "in (0, 1]", self.gamma)
        require(0 <= self.gae_lambda <= 1, "algorithm.gae_lambda", "in [0, 1]", self.gae_lambda)
        for name, least in (
            ("epochs", 1),
            ("minibatches", 1),
            ("extra_critic_passes", 0),
            ("critic_epochs", 0),
        ):
            value = getattr(self, name)
            require(value >= least, f"algorithm.{name}", f"at least {least}", value)
        require(0 < self.clip < 1, "algorithm.clip", "in (0, 1)", self.clip)
        require(
            self.clip_range not in NEEDS_OTHERS_CLIP or 0 < self.others_clip < self.clip,
            "algorithm.others_clip",
            f"in (0, algorithm.clip = {self.clip})",
            self.others_clip,
        )
        require(
            self.clip_range != "double_by_position" or self.others_clip <= self.clip / 2,
            "algorithm.others_clip",
            f"at most half of algorithm.clip = {self.clip}, the range of the first in the order",
            self.others_clip,
        )
        require(
            0 < self.trace_clip < math.inf,
            "algorithm.trace_clip",
            "positive and finite",
            self.trace_clip,
        )
        require(
            self.trace_decay != "running"
            or (self.advantage == "trace" and self.value_target != "printed"),
            "algorithm.trace_decay",
            "another than 'running' unless algorithm.advantage is 'trace' and "
            "algorithm.value_target not 'printed'",
            self.trace_decay,
        )
        require(
            self.sequential or not self.normalise_weight,
            "algorithm.normalise_weight",
            "off where all agents move at once, since the weight is then taken at each step",
            self.normalise_weight,
        )
        self._check_critic_epochs()
        self._check_state_weight()

    def _check_critic_epochs(self) -> None:
        targets_move = self.value_target == "printed" or (
            self.value_target == "advantage" and self.advantage != "gae"
        )
        require(
            not (self.critic_epochs and targets_move),
            "algorithm.critic_epochs",
            "0 where the critic's targets change from agent to agent (else set "
            "algorithm.value_target to 'gae')",
            self.critic_epochs,
        )
        require(
            not (self.critic_epochs and self.extra_critic_passes),
            "algorithm.extra_critic_passes",
            "0 where algorithm.critic_epochs trains the critic after all agents",
            self.extra_critic_passes,
        )

    def _check_state_weight(self) -> None:
        require(
            self.state_weight_max > 0,
            "algorithm.state_weight_max",
            "positive",
            self.state_weight_max,
        )
        require(
            0 <= self.state_weight_min <= self.state_weight_max,
            "algorithm.state_weight_min",
            f"from 0 to algorithm.state_weight_max = {self.state_weight_max}",
            self.state_weight_min,
        )
        require(
            self.sequential or self.state_weight == "none",
            "algorithm.state_weight",
            "none where all agents move at once: nobody precedes, so there is nothing to correct",
            self.state_weight,
        )
        require(
            self.critic == "central" or self.state_weight not in NEEDS_CENTRAL_CRITIC,
            "algorithm.state_weight",
            "none, stepwise, stepwise_inclusive or stepwise_printed where algorithm.critic is "
            "'local': a density ratio is one of the global state",
            self.state_weight,
        )
        require(
            self.density.equation == "stationary" or self.gamma < 1,
            "algorithm.gamma",
            "below 1 where algorithm.density.equation is 'discounted'",
            self.gamma,
        )


@dataclass(frozen=True, kw_only=True)
class SequentialConfig(AlgorithmConfig):
    """What algorithms that update one agent after another have."""

    sequential: ClassVar[bool] = True

    order: OrderName = "semi_greedy"
    """Order in which agents are updated (erratum E10)."""
    blocks: int = 2
    """Shared parameters: groups into which the order is cut; each is one update an epoch."""
    block_epochs: BlockEpochsName = "all"
    """Shared parameters: `epochs` rounds over the groups, so that those at once take a fraction of
    the gradient steps (`all`), or ceil(epochs / blocks) rounds, so that the number of steps is that
    of `epochs`, rounded up (`divided`, A2PO's public code)."""
    cumulative_blocks: bool = True
    """Shared parameters: a group's update includes the groups before it."""
    trace_agents: TraceCountedName = "others"
    """Whose ratios shorten the traces of AEC: all the others', only those of the agents before in
    the order, or those of `all`, the agent's own among them (A2PO's public code). Only with shared
    parameters do they differ (erratum E9)."""
    weight_agents: CountedName = "others"
    """Whose ratios make the weights and the clip range, in the same way."""
    values: Literal["collected", "anew"] = "collected"
    """Whose values an agent's advantage comes from: the critic's at collection, or, as Algorithm 1
    has it, those of the critic as the agents before have left it (erratum E14)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.blocks >= 1, "algorithm.blocks", "at least 1", self.blocks)
        require(
            self.values == "collected" or not self.critic_epochs,
            "algorithm.values",
            "'collected' where algorithm.critic_epochs trains the critic after all agents: it does "
            "not move between them",
            self.values,
        )

    def rounds(self, num_agents: int) -> int:
        """Shared parameters: rounds over the groups in an update, each a pass for every group."""
        divided = self.block_epochs == "divided"
        return -(-self.epochs // min(self.blocks, num_agents)) if divided else self.epochs
