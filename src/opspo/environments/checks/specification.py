"""Contradictions in a specification."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from opspo.environments.base import EnvironmentSpec
from opspo.environments.checks.findings import Finding

_SIZES = {"num_agents": 1, "observation_size": 1, "state_size": 1}
_COUNTS = {"num_actions": 0, "action_size": 0, "episode_limit": 0}


def specification_problems(spec: Any) -> tuple[Finding, ...]:
    """Everything in a specification that is impossible, whatever the environment does."""
    if not isinstance(spec, EnvironmentSpec):
        return (
            Finding(
                "specification",
                f"`spec` is {_kind(spec)}, not an EnvironmentSpec.",
                "Set `spec = opspo.environments.base.EnvironmentSpec(...)` on the environment.",
            ),
        )
    numbers = tuple(_numbers(spec))
    # the rest compares these numbers, so they must be right first
    return numbers or (*_actions(spec), *_names(spec))


def _numbers(spec: EnvironmentSpec) -> Iterator[Finding]:
    for name, least in {**_SIZES, **_COUNTS}.items():
        value = getattr(spec, name)
        if not _is_integer(value) or value < least:
            yield Finding(
                f"specification: {name}",
                f"`spec.{name}` is {value!r}, but must be an integer of at least {least}.",
                f"Set `spec.{name}`.",
            )


def _actions(spec: EnvironmentSpec) -> Iterator[Finding]:
    if spec.num_actions == 0 and spec.action_size == 0:
        yield Finding(
            "specification: no actions",
            "`spec.num_actions` and `spec.action_size` are both 0, so there is nothing to decide.",
            "Set `num_actions` for discrete actions, or `action_size` for continuous ones.",
        )
    own = [*_each_agents(spec, "action_sizes", "action_size")]
    own += _each_agents(spec, "action_counts", "num_actions")
    yield from own or _decisions(spec)


def _each_agents(spec: EnvironmentSpec, name: str, most: str) -> Iterator[Finding]:
    values, limit = getattr(spec, name), getattr(spec, most)
    if not _listed(values):
        yield _not_a_tuple(name, values)
    elif values and len(values) != spec.num_agents:
        yield Finding(
            f"specification: {name}",
            f"`spec.{name}` has length {len(values)}, but there are {spec.num_agents} agents.",
            "Give one number per agent, or () if all are the same.",
        )
    elif any(not _is_integer(n) or not 1 <= n <= limit for n in values):
        yield Finding(
            f"specification: {name}",
            f"`spec.{name}` is {tuple(values)}, but each must be an integer from 1 to "
            f"`spec.{most}`, which is {limit}.",
            f"Set `spec.{most}` to the largest of them.",
        )


def _decisions(spec: EnvironmentSpec) -> Iterator[Finding]:
    values = spec.decision_counts
    sizes = list(spec.action_sizes or (spec.action_size,) * spec.num_agents)
    if not _listed(values) or not all(_listed(own) for own in values):
        yield _not_a_tuple("decision_counts", values, "tuples of integers, one for each agent")
    elif values and [len(own) for own in values] != sizes:
        yield Finding(
            "specification: decision_counts",
            f"`spec.decision_counts` has {[len(own) for own in values]} decisions per agent, but "
            f"the agents have {sizes}.",
            "Give each agent one number per decision, or () if all have `spec.num_actions` "
            "choices. For agents with a single decision, set `spec.action_counts` instead.",
        )
    elif any(not _is_integer(n) or not 1 <= n <= spec.num_actions for own in values for n in own):
        yield Finding(
            "specification: decision_counts",
            f"`spec.decision_counts` is {values}, but each must be an integer from 1 to "
            f"`spec.num_actions`, which is {spec.num_actions}.",
            "Set `spec.num_actions` to the largest of them.",
        )


def _names(spec: EnvironmentSpec) -> Iterator[Finding]:
    for name in ("agents", "outcomes"):
        values = getattr(spec, name)
        if not _listed(values) or not all(isinstance(value, str) for value in values):
            yield _not_a_tuple(name, values, "strings")
        elif len(set(values)) < len(values):
            yield Finding(
                f"specification: {name}",
                f"`spec.{name}` has a name twice: {tuple(values)}.",
                "Give each its own name.",
            )
        elif name == "agents" and values and len(values) != spec.num_agents:
            yield Finding(
                "specification: agents",
                f"`spec.agents` names {len(values)} agents, but `spec.num_agents` is "
                f"{spec.num_agents}.",
                "Name every agent, in the order of the axis N, or leave `agents` out.",
            )
    if not isinstance(spec.name, str) or not spec.name:
        yield Finding(
            "specification: name",
            f"`spec.name` is {spec.name!r}, but must be a non-empty string.",
            "Give the environment a name, for messages and the run's files.",
        )


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _listed(values: Any) -> bool:
    """Whether it is a sequence, but not a string, which is a sequence of letters."""
    return isinstance(values, Sequence) and not isinstance(values, str)


def _not_a_tuple(name: str, values: Any, of: str = "integers") -> Finding:
    return Finding(
        f"specification: {name}",
        f"`spec.{name}` is {values!r}, but must be a tuple of {of}.",
        "A tuple of one is written with a comma: (x,).",
    )


def _kind(value: Any) -> str:
    return "missing" if value is None else f"of type {type(value).__name__}"
