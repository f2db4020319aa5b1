"""Settings that every algorithm has.

The algorithms differ in what the declarations beside this file write out: `advantage`,
`value_target`, `state_weight`, `clip_range`, and `order` for the sequential ones. Each can be set
for each algorithm, so an ablation, or "HAPPO with AEC", is one flag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from opspo.algorithms.density import DensityConfig
from opspo.algorithms.names import (
    TERMS,
    ActionRatioName,
    AdvantageName,
    BaselineName,
    ClipRangeName,
    StateWeightName,
    TraceDecayName,
    ValueTargetName,
    checked_name,
)
from opspo.errors import ConfigError, require

NEEDS_OTHERS_CLIP = ("double", "double_by_position", "double_by_ratios", "corrected")
NEEDS_CENTRAL_CRITIC = ("linear", "kernel", "minimax")
NEEDS_SEPARATE_PARAMETERS = ("kernel", "minimax")
CLASS_OWN = ("name", "sequential", "stands_for")
"""What a declaration's class has, and no field can be called"""


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig:
    """What every algorithm has; each one's own class declares its choices."""

    name: ClassVar[str]
    sequential: ClassVar[bool] = False
    """Whether agents are updated one after another."""
    stands_for: ClassVar[str] = ""
    """`module:Class` of the user's own declaration that a file names, where this stands for it."""

    gamma: float = 0.99
    """Discount per step."""
    gae_lambda: float = 0.95
    """Decay λ of the advantage traces (the paper's tables print it as γ, erratum E1)."""
    epochs: int = 10
    """Passes over the batch in each iteration."""
    minibatches: int = 1
    """Parts into which each pass is cut."""
    reuse: int = 0
    """Batches of earlier iterations that each update uses beside its own. They are off-policy from
    the start, and are corrected in the same way as for the moves of team-mates."""
    extra_critic_passes: int = 0
    """Passes of the critic alone before each epoch; 1 is A2PO's two-stage critic."""
    critic_epochs: int = 0
    """Passes of the critic alone after all agents have been updated, as HAPPO's authors do. 0: the
    critic takes a step with each step of the agents (Algorithm 1)."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    critic: Literal["central", "local"] = "central"
    """`central`: one value of the global state. `local`: a value of each agent's own observation
    (IPPO)."""
    normalise_advantage: bool = True
    """Scale advantages to zero mean and unit variance over the living agents' samples; with
    separate parameters, each agent's over its own."""

    action_ratio: ActionRatioName = "product"
    """Ratio of an action with several dimensions, as the objective takes it. `product`: over the
    dimensions, which is the ratio of the policies (A2PO's public code, HARL). `mean`: over the
    dimensions (OPSPO's paper for MA-MuJoCo). Traces and density ratios always take the product."""

    advantage: AdvantageName = "gae"
    """Advantage estimator: `gae`, or AEC as `td`, `vtrace_next` or `trace` (erratum E3); or
    `doubly_robust`, a trace with a model of what the actions add to the value."""
    baseline: BaselineName = "none"
    """What is subtracted from the actors' advantage besides V: `none`; the `mean`, weighted by the
    others' ratio; or a function of the state, `linear` in the critic's last hidden layer, fitted to
    the batch, or to the other half of its environments (`linear_crossfit`)."""
    action_head_rate: float = 1e-4
    """Step size of the critic's head for action values (`doubly_robust`)."""
    action_head_steps: int = 10
    """Steps of that head in each iteration, after the update."""
    baseline_ridge: float = 1e-3
    """Ridge of the linear baselines, in units of the features' mean square."""
    value_target: ValueTargetName = "advantage"
    """Critic target: V plus the `advantage`; Eq. 14 as `printed`; the plain `gae` return; or
    IMPALA's `vtrace`, whose first term is weighted too."""
    trace_clip: float = 1.0
    """AEC: c̄, the bound on the joint ratio in the traces."""
    trace_decay: TraceDecayName = "factor"
    """AEC: how traces fade. `factor`: by λ min(c̄, r). `bound`: by min(λ c̄, r) (erratum E3).
    `twice`: by λ² min(c̄, r), with GAE in the first stage (A2PO's public code). `steady`: by
    λ min(c̄, r) over the mean of min(c̄, r), so that moved team-mates do not shorten the traces.
    `running`: by λ, with the product of the ratios bounded by c̄ (that code's `speedup_trace`; for
    `trace`)."""

    state_weight: StateWeightName = "none"
    """SDC. `none`. Step-wise importance sampling: over earlier actions (`stepwise`), over earlier
    and present ones (`stepwise_inclusive`), or the latter with sum 1 (`stepwise_printed`; erratum
    E6). A density ratio: by a `linear` solve, or by networks (`kernel`, `minimax`)."""
    state_weight_min: float = 0.0
    """SDC: lower bound on the state weights."""
    state_weight_max: float = 1.0
    """SDC: upper bound on the state weights (Section 3.3: min(ω, 1)); inf for none."""
    density: DensityConfig = field(default_factory=DensityConfig)

    clip_range: ClipRangeName = "ppo"
    """Clip range and weight of the surrogate. `ppo`: 1 ± clip. `ratio`: the same, weighted by the
    others' ratio (HAPPO). `effective`: as `ratio`, with the weight at most the ratios' effective
    sample share (P3O). `joint`: the product of both ratios in 1 ± clip (HAPPO in A2PO's public
    code). `double`: as `joint`, with the others' ratio in 1 ± others_clip (CoPPO).
    `double_by_position`: as `double`, with a range that grows along the order (A2PO's paper).
    `double_by_ratios`: as `double`, with a range that shrinks with the ratios at the start of the
    round (A2PO's public settings for shared parameters). `corrected`: CRC (Section 3.3)."""
    clip: float = 0.2
    """ε, or ε1 where there are two."""
    others_clip: float = 0.1
    """ε2: bound on the others' ratio, or the narrowest half-width of the corrected range."""
    normalise_weight: bool = False
    """Scale the weights of the objective to mean 1 over the living agents' samples."""

    def __post_init__(self) -> None:
        self._check_class()
        for setting in {item.name for item in fields(self)} & set(TERMS):
            value = checked_name(setting, getattr(self, setting))
            object.__setattr__(self, setting, value)
        require(0 < self.gamma <= 1, "algorithm.gamma", "in (0, 1]", self.gamma)
        require(0 <= self.gae_lambda <= 1, "algorithm.gae_lambda", "in [0, 1]", self.gae_lambda)
        for name, least in (
            ("epochs", 1),
            ("minibatches", 1),
            ("extra_critic_passes", 0),
            ("critic_epochs", 0),
            ("action_head_steps", 1),
            ("reuse", 0),
        ):
            value = getattr(self, name)
            require(value >= least, f"algorithm.{name}", f"at least {least}", value)
        self._check_clip()
        for name in ("action_head_rate", "baseline_ridge", "trace_clip"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"algorithm.{name}", "positive and finite", value)
        require(
            self.trace_decay != "running"
            or (self.advantage == "trace" and self.value_target not in ("printed", "vtrace")),
            "algorithm.trace_decay",
            "another than 'running' unless algorithm.advantage is 'trace' and "
            "algorithm.value_target neither 'printed' nor 'vtrace'",
            self.trace_decay,
        )
        require(
            self.sequential or not self.normalise_weight,
            "algorithm.normalise_weight",
            "off for simultaneous algorithms, whose weight is taken anew at each gradient step",
            self.normalise_weight,
        )
        self._check_reuse()
        self._check_advantage()
        self._check_critic_epochs()
        self._check_state_weight()

    def _check_class(self) -> None:
        """What is easily forgotten in a declaration of one's own."""
        kind = type(self)
        if "__dataclass_fields__" not in vars(kind):
            raise ConfigError(
                f"{kind.__qualname__} has the fields of its parent, not its own: decorate it with "
                "@dataclass(frozen=True, kw_only=True)."
            )
        for item in fields(self):
            if item.name in CLASS_OWN:
                raise ConfigError(
                    f"{kind.__qualname__}.{item.name} is not a setting but belongs to the class: "
                    f"annotate it as ClassVar."
                )
        if not isinstance(getattr(kind, "name", None), str):
            raise ConfigError(
                f"{kind.__qualname__} needs a name in its class: name: ClassVar[str] = ..."
            )

    def _check_clip(self) -> None:
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
            self.sequential or self.clip_range != "effective",
            "algorithm.clip_range",
            "another than 'effective' for simultaneous algorithms, whose range sees a minibatch "
            "alone",
            self.clip_range,
        )

    def _check_reuse(self) -> None:
        require(
            self.sequential or not self.reuse,
            "algorithm.reuse",
            "0 for simultaneous algorithms, whose range is computed anew at each gradient step, "
            "around policies that have not moved",
            self.reuse,
        )
        require(
            not self.reuse or self.state_weight not in NEEDS_SEPARATE_PARAMETERS,
            "algorithm.reuse",
            f"0 where algorithm.state_weight is '{self.state_weight}', whose networks keep earlier "
            "batches themselves",
            self.reuse,
        )
        require(
            not self.reuse or self.clip_range != "joint",
            "algorithm.reuse",
            "0 where algorithm.clip_range is 'joint', whose range may not contain the policy that "
            "an update begins with",
            self.reuse,
        )

    def _check_advantage(self) -> None:
        require(
            self.critic == "central" or self.advantage != "doubly_robust",
            "algorithm.advantage",
            "another than 'doubly_robust' where algorithm.critic is 'local': its action values are "
            "of the global state",
            self.advantage,
        )

    def _check_critic_epochs(self) -> None:
        targets_stay = self.value_target == "gae" or (
            self.value_target == "advantage" and self.advantage == "gae"
        )
        require(
            not self.critic_epochs or targets_stay,
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
            "none for simultaneous algorithms: no agent precedes, so there is nothing to correct",
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
