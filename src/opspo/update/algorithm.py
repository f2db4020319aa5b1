"""What an algorithm is to the update: the terms of its equation, field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import jax.numpy as jnp

from opspo.algorithms import AlgorithmConfig
from opspo.algorithms.names import TERMS
from opspo.errors import ConfigError
from opspo.estimators import trace_decays
from opspo.state_weights.protocol import StateWeight
from opspo.terms import Term, call, called, check, check_positional, wants
from opspo.types import Array, Correction, StageData
from opspo.update.schedule import Schedule

Range = tuple[Array, Array, Array]
"""Weight, low and high of the surrogate"""
LiveRange = Callable[[Array], Range]
"""log-ratio of the others [L, C, K] → weight, low, high"""
RatioScope = Term
"""Whose ratios count: (log_ratios [T, E, N], agents [K], rank [N]), by name → log-ratio [T, E, K];
see `estimators.ratio_scopes`"""
ActionRatio = Callable[[Array, Array, Array | None], Array]
"""(log-probabilities [..., D], those at collection, own dimensions) → log-ratio of the action
[...]; see `estimators.action_ratios`"""

_TRACE = ("reward", "value", "next_value", "done", "first", "alive", "log_ratio", "stage")
ACTION_VALUES = ("action_value", "own_action_value", "value_shift")
OFFERED: dict[str, tuple[str, ...]] = {
    "advantage": (*_TRACE, *ACTION_VALUES, "trace_decay"),
    "baseline": ("advantage", "features", "log_ratio", "alive"),
    "value_target": (*_TRACE, "trace_decay", "advantage"),
    "trace_decay": ("log_ratio", "stage"),
    "trace_agents": ("log_ratios", "agents", "rank"),
    "weight_agents": ("log_ratios", "agents", "rank"),
    "clip_range": ("log_ratio", "position", "nearness"),
}
"""Setting → the arrays that its term may ask for; `types.StageData` describes them. Besides, each
may ask for any number of the declaration."""


@dataclass(frozen=True)
class Algorithm:
    """The surrogate mean[ w ω̃ · min(r A, clip(r, low, high) A) ], term by term.

    A term is a function that asks by name for the arrays in `OFFERED` and for the declaration's
    numbers (`terms`). To change one: `dataclasses.replace(compose(…), clip_range=mine)`.
    """

    schedule: Schedule
    """Who is updated when"""
    advantage: Term
    """A [T, E, K] or [T, E, M], as in `estimators.advantages`"""
    baseline: Term
    """b [T, E, K], subtracted from the actors' A alone, as in `estimators.baselines`"""
    value_target: Term
    """The critic's target, as in `estimators.value_targets`"""
    trace_decay: Term
    """What a trace keeps at a step, as in `estimators.trace_decays`"""
    trace_agents: RatioScope
    """Whose ratios count in the traces: a scope of `estimators.ratio_scopes`"""
    state_weight: StateWeight
    """ω"""
    state_weight_min: float
    """ω̃ = clip(ω, min, max)"""
    state_weight_max: float
    weight_agents: RatioScope
    """Whose ratios count in ω, w and the range: a scope of `estimators.ratio_scopes`"""
    clip_range: Term
    """w, low and high, as in `objectives.clip_ranges`"""
    range_is_live: bool
    """w, low and high are computed at each gradient step, from the others' ratio at that step: in
    simultaneous algorithms, where all agents move"""
    action_ratio: ActionRatio
    """r of an action of several dimensions"""
    values: str
    """Of which critic a stage's values are: see `SequentialConfig.values`"""
    declaration: AlgorithmConfig = field(repr=False)
    """Whose numbers the terms may ask for"""

    def __post_init__(self) -> None:
        for setting, arrays in OFFERED.items():
            term = getattr(self, setting)
            if term is not trace_decays.running:  # stands for a whole advantage estimator
                check(setting, term, (*arrays, *self.numbers))
        check_positional("action_ratio", self.action_ratio, ("log_prob", "old_log_prob", "own"))
        if trace_decays.running in (self.trace_decay, self.advantage):
            self._check_running()
        if not isinstance(self.state_weight, StateWeight):
            raise ConfigError(
                "algorithm.state_weight must make a StateWeight, which has init, begin, weigh, "
                f"moved and end, but made {self.state_weight!r}. Wrap a formula in "
                "opspo.state_weights.Formula."
            )

    def _check_running(self) -> None:
        if self.trace_decay is not self.advantage:
            raise ConfigError(
                "algorithm.trace_decay: estimators.trace_decays.running is a whole advantage "
                "estimator, so it must be both `trace_decay` and `advantage`, but they are "
                f"{called(self.trace_decay)} and {called(self.advantage)}."
            )

    @property
    def numbers(self) -> dict[str, Any]:
        """The declaration's fields, by name, without those that name terms."""
        return {
            item.name: getattr(self.declaration, item.name)
            for item in fields(self.declaration)
            if item.name not in TERMS
        }

    def counted(self, scope: str, log_ratios: Array, agents: Array, rank: Array) -> Array:
        """The log-ratio [T, E, K] that counts for each of a group of agents.

        Args:
            scope: `trace_agents` or `weight_agents`.
            log_ratios: [T, E, N] of each agent.
            agents: [K] int, the group.
            rank: [N] int, each agent's place in the order.
        """
        offered = {"log_ratios": log_ratios, "agents": agents, "rank": rank}
        term = getattr(self, scope)
        shape = (*log_ratios.shape[:-1], len(agents))
        return in_shape(scope, term, call(term, {**self.numbers, **offered}), shape)

    def ratio_of(self, log_prob: Array, old_log_prob: Array, own: Array | None) -> Array:
        """log r of the actions [...], by `action_ratio`.

        Args:
            log_prob, old_log_prob: [..., D] log-probabilities now, and at collection.
            own: [..., D] bool, the dimensions that an agent has; None for all.
        """
        found = self.action_ratio(log_prob, old_log_prob, own)
        return in_shape("action_ratio", self.action_ratio, found, log_prob.shape[:-1])

    def correct(self, data: StageData, omega: Array) -> Correction:
        """Every term of the surrogate for a stage, from its data and ω [T, E, K].

        The weight is w ω̃. Where the range is live, w comes in at each gradient step, and the weight
        here is ω̃ alone.
        """
        shape = data.log_ratio.shape
        offered = {
            **self.numbers,
            **{name: getattr(data, name) for name in (*_TRACE, *ACTION_VALUES)},
            "log_ratio": data.trace_log_ratio,
        }
        offered["trace_decay"] = self._decay(offered)
        advantage = in_shape("advantage", self.advantage, call(self.advantage, offered), shape)
        target = call(self.value_target, {**offered, "advantage": advantage})
        advantage = advantage - self._baseline(data, advantage)
        weight, low, high = self.range_at(data.log_ratio, data.position, data.nearness)
        if data.own_began is not None:  # the range is around where the agent is (GePPO)
            low, high = low * jnp.exp(data.own_began), high * jnp.exp(data.own_began)
        omega = in_shape("state_weight", self.state_weight, omega, shape)
        bounded = jnp.clip(omega, self.state_weight_min, self.state_weight_max)
        return Correction(
            advantage=advantage,
            value_target=in_shape("value_target", self.value_target, target, shape),
            weight=bounded if self.range_is_live else weight * bounded,
            low=low,
            high=high,
            state_weight=omega,
        )

    def _baseline(self, data: StageData, advantage: Array) -> Array:
        offered = {
            **self.numbers,
            "advantage": advantage,
            "features": data.features,
            "log_ratio": data.density_log_ratio,
            "alive": data.alive,
        }
        found = call(self.baseline, offered)
        return in_shape("baseline", self.baseline, found, advantage.shape)

    @property
    def needs_features(self) -> bool:
        """Whether a term asks for the critic's features."""
        return wants(self.baseline, "features") or self.needs_action_values

    @property
    def needs_action_values(self) -> bool:
        """Whether a term asks for the action values, so that their head has to be trained."""
        return any(wants(self.advantage, name) for name in ACTION_VALUES)

    def range_at(self, log_ratio: Array, position: Array, nearness: Array) -> Range:
        """w, low and high [..., K] at the others' log-ratio [..., K].

        Args:
            log_ratio: [..., K].
            position: [K] place in the order over the number of agents.
            nearness: [K] `objectives.agent_clips.nearness`.
        """
        offered = {"log_ratio": log_ratio, "position": position, "nearness": nearness}
        found = call(self.clip_range, {**self.numbers, **offered})
        if not isinstance(found, tuple | list) or len(found) != 3:
            raise ConfigError(
                f"algorithm.clip_range: {called(self.clip_range)} must return three arrays "
                f"(weight, low, high), but returned {found!r}."
            )
        weight, low, high = (
            in_shape("clip_range", self.clip_range, x, log_ratio.shape) for x in found
        )
        return weight, low, high

    @property
    def live_range(self) -> LiveRange | None:
        """The range as a function of the others' log-ratio at a gradient step, if it is live."""
        if not self.range_is_live:
            return None

        def live(log_ratio: Array) -> Range:
            last = jnp.ones(log_ratio.shape[-1])
            return self.range_at(log_ratio, last, last)

        return live

    def _decay(self, offered: Mapping[str, Any]) -> Callable[..., Array]:
        def decay(log_ratio: Array, **numbers: Any) -> Array:
            kept: Array = call(self.trace_decay, {**offered, **numbers, "log_ratio": log_ratio})
            return kept

        return decay


def in_shape(setting: str, term: Any, value: Any, shape: tuple[int, ...]) -> Array:
    """What a term returned, in the shape that is expected.

    Raises:
        ConfigError: it is of another shape.
    """
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"algorithm.{setting}: {called(term)} must return an array, but returned {value!r}."
        ) from error
    found = array.shape
    fits = len(found) in (0, len(shape)) and all(
        own in (1, all_) for own, all_ in zip(found, shape[-len(found) :], strict=False)
    )
    if not fits:
        raise ConfigError(
            f"algorithm.{setting}: {called(term)} must return the shape {list(shape)}, or one that "
            f"broadcasts to it, but returned {list(found)}."
        )
    return jnp.broadcast_to(array, shape)
