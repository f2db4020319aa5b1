"""Which algorithms have an exact update, and from which choices of their declarations."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import get_args

from opspo.algorithms import ALGORITHMS, AlgorithmConfig
from opspo.algorithms.names import StateWeightName
from opspo.errors import ConfigError, require
from opspo.objectives import clip_ranges
from opspo.terms import Term, call, check, named
from opspo.theory.exact_updates import (
    Estimator,
    Numbers,
    Sequential,
    Simultaneous,
    Terms,
    Update,
    Weighted,
    of_the_data,
    with_trace,
)
from opspo.types import Array


@dataclass(frozen=True)
class _Range:
    """A clip range from `objectives.clip_ranges`, with the numbers of `Numbers`."""

    term: Term

    def __call__(self, log_ratio: Array, position: Array, numbers: Numbers) -> Terms:
        terms: Terms = call(
            self.term, {"log_ratio": log_ratio, "position": position, **vars(numbers)}
        )
        return terms


EXPECTED: dict[str, Estimator] = {"gae": of_the_data, "trace": with_trace}
"""Setting `advantage` → the estimator's limit for unlimited data and an exact critic"""


def exact_update(config: AlgorithmConfig) -> Update:
    """The exact update of an algorithm, from its declaration.

    Raises:
        ConfigError: one of its choices has no exact form here.
    """
    _check_exact(config)
    to_range = _Range(named(clip_ranges, config.clip_range))
    if not config.sequential:
        return Simultaneous(to_range)
    estimate = EXPECTED[config.advantage]
    if config.state_weight != "none":
        estimate = Weighted(estimate, config.state_weight_min, config.state_weight_max)
    return Sequential(estimate, to_range)


EXACT: dict[str, tuple[object, ...]] = {
    "critic": ("central",),  # these games have no observations for a local one
    "advantage": tuple(EXPECTED),
    "baseline": ("none",),
    "trace_decay": ("factor",),
    "trace_clip": (1.0,),
    "values": ("collected",),
    "reuse": (0,),
    "state_weight": get_args(StateWeightName),  # all in their limit, the exact ω
    # the agents that have not moved have ratio 1: these are the same for separate agents
    "trace_agents": ("others", "preceding"),
    "weight_agents": ("others", "preceding"),
}
"""Setting → its values that have an exact form"""


def _check_exact(config: AlgorithmConfig) -> None:
    for setting, exact in EXACT.items():
        value = getattr(config, setting, exact[0])
        rule = f"{' or '.join(map(repr, exact))} for an exact update"
        require(value in exact, f"algorithm.{setting}", rule, value)
    require(
        config.clip_range != "effective",
        "algorithm.clip_range",
        "another than 'effective' for an exact update: its bound is one of the samples",
        config.clip_range,
    )
    term = named(clip_ranges, config.clip_range)
    check("clip_range", term, ("log_ratio", "position", *vars(Numbers())))


def all_exact() -> dict[str, Update]:
    """Name → update of each algorithm that has an exact one."""
    found = {}
    for name, declaration in ALGORITHMS.items():
        with suppress(ConfigError):
            found[name] = exact_update(declaration())
    return found


UPDATES = all_exact()
"""Name → update of each algorithm that has an exact one"""
