"""Shapes and dtypes of observations and steps, whether concrete or traced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from opspo.environments.base import EnvironmentSpec
from opspo.environments.checks.findings import Finding
from opspo.environments.checks.words import OWN

Faults = dict[str, Finding]
"""Field → what is wrong with its form"""


@dataclass(frozen=True)
class Field:
    """The required form of a field of an observation or a step."""

    axes: str
    """The letters of the axes, without brackets"""
    shape: tuple[int, ...]
    boolean: bool = False
    per_agent: str = ""
    """The fix if it has one value per agent, a common mistake for a value of the whole team"""


def observation_fields(spec: EnvironmentSpec) -> dict[str, Field]:
    """The fields of one environment's observation; no mask if actions are continuous."""
    n = spec.num_agents
    fields = {
        "observation": Field("N, d", (n, spec.observation_size)),
        "state": Field(
            "s",
            (spec.state_size,),
            per_agent="The critic sees one state of the whole team: drop the agent axis.",
        ),
        "alive": Field("N", (n,), boolean=True),
    }
    if spec.num_actions and spec.action_size:
        shape = (n, spec.action_size, spec.num_actions)
        fields["available_actions"] = Field("N, D, A", shape, boolean=True)
    elif spec.num_actions:
        fields["available_actions"] = Field("N, A", (n, spec.num_actions), boolean=True)
    return fields


def step_fields(spec: EnvironmentSpec) -> dict[str, Field]:
    """The fields of one environment's step, apart from the observation."""
    ended = "The team's episode has one end: return one flag, such as the flags' `.all()`."
    return {
        "reward": Field(
            "", (), per_agent="The team has one reward: return the agents' mean or sum."
        ),
        "terminated": Field("", (), boolean=True, per_agent=ended),
        "truncated": Field("", (), boolean=True, per_agent=ended),
        "win": Field("", (), boolean=True, per_agent="The team wins or does not: return one flag."),
        **{f"outcome: {name}": Field("", ()) for name in spec.outcomes},
    }


def observation_faults(
    spec: EnvironmentSpec, seen: Any, *, lead: tuple[int, ...], where: str
) -> Faults:
    """What is wrong with the form of an observation.

    Args:
        spec: the environment's specification.
        seen: an `Observation` of arrays or of `jax.ShapeDtypeStruct`s.
        lead: the axes in front of those of one environment: () or (E,).
        where: what returned it, for the message.
    """
    if not all(
        hasattr(seen, name) for name in ("observation", "state", "available_actions", "alive")
    ):
        return {"observation": _no_struct("an Observation", seen, where)}
    faults = dict(_compare(spec, observation_fields(spec), seen, lead, where))
    if not spec.num_actions and getattr(seen, "available_actions", None) is not None:
        faults["available_actions"] = Finding(
            "surplus: available_actions",
            f"{OWN['available_actions']} is set, but actions are continuous "
            "(`spec.num_actions` is 0).",
            "Set it to None, or set `spec.num_actions` to the number of choices.",
            where,
        )
    return faults


def step_faults(spec: EnvironmentSpec, step: Any, *, lead: tuple[int, ...], where: str) -> Faults:
    """What is wrong with the form of a step; the arguments are as for `observation_faults`."""
    if not all(
        hasattr(step, name) for name in ("observation", "reward", "terminated", "truncated")
    ):
        return {"step": _no_struct("a Step", step, where)}
    faults = observation_faults(spec, step.observation, lead=lead, where=where)
    fields = step_fields(spec)
    if getattr(step, "lost", None) is not None:
        fields["lost"] = Field("", (), boolean=True)
    faults |= _compare(spec, fields, step, lead, where)
    outcome = getattr(step, "outcome", None)
    surplus = set(outcome) - set(spec.outcomes) if isinstance(outcome, Mapping) else set()
    for name in sorted(map(str, surplus)):
        faults[f"outcome: {name}"] = Finding(
            f"surplus: outcome: {name}",
            f"{OWN[f'outcome: {name}']} is not among `spec.outcomes`, {spec.outcomes}.",
            f"Add '{name}' to `spec.outcomes`, or leave it out of the step.",
            where,
        )
    return faults


def missing_parts(batch: Any) -> tuple[Finding, ...]:
    """The parts that a `HostBatch` lacks, as at most one finding."""
    parts = ("reset", "step", "close", "lost_episodes")
    missing = [f"`{name}`" for name in parts if not hasattr(batch, name)]
    if not missing:
        return ()
    return (
        Finding(
            "missing: batch",
            f"What `open` returns has no {', '.join(missing)}.",
            "opspo.environments.base.HostBatch shows what a batch needs: `reset`, `step`, `close` "
            "and `lost_episodes`.",
        ),
    )


def playable(faults: Faults) -> bool:
    """Whether an environment can be played despite its faults, which are only in unread fields."""
    unread = ("reward", "win", "lost", "outcome")
    return all(
        name.partition(": ")[0] in unread or finding.kind.startswith(("dtype", "surplus"))
        for name, finding in faults.items()
    )


def _no_struct(expected: str, found: Any, where: str) -> Finding:
    return Finding(
        f"missing: {expected}",
        f"Expected {expected}, but got {found_kind(found)}.",
        "Both classes are in opspo.environments.base; docs/environments/own.md has an example.",
        where,
    )


def found_kind(value: Any) -> str:
    """A short description of a value's kind."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {_shape(tuple(value.shape))}"
    return "None" if value is None else f"a value of type {type(value).__name__}"


def _compare(
    spec: EnvironmentSpec,
    fields: Mapping[str, Field],
    whole: Any,
    lead: tuple[int, ...],
    where: str,
) -> Iterator[tuple[str, Finding]]:
    for name, field in fields.items():
        found = _value(whole, name)
        fault = _fault(spec, field, found, lead)
        if fault:
            kind, what, fix = fault
            yield name, Finding(f"{kind}: {name}", f"{OWN[name]} {what}", fix, where)


def _value(whole: Any, name: str) -> Any:
    kind, _, outcome = name.partition(": ")
    value = getattr(whole, kind, None)
    if not outcome:
        return value
    return value.get(outcome) if isinstance(value, Mapping) else None


def _fault(
    spec: EnvironmentSpec, field: Field, found: Any, lead: tuple[int, ...]
) -> tuple[str, str, str] | None:
    """The kind of fault, what is wrong, and the fix; None if nothing is."""
    expected = f"{_shape((*lead, *field.shape))}{_legend(spec, field, lead)}"
    if found is None:
        what = "booleans" if field.boolean else "numbers"
        return "missing", "is missing.", f"Return an array of {what} of shape {expected}."
    if not hasattr(found, "shape") or not hasattr(found, "dtype"):
        return (
            "shape",
            f"is of type {type(found).__name__}, not an array.",
            f"Return an array of shape {expected}.",
        )
    shape = tuple(found.shape)
    if shape != (*lead, *field.shape):
        return (
            "shape",
            f"has shape {_shape(shape)}, but the specification says {expected}.",
            _shape_fix(spec, field, shape, lead),
        )
    return _dtype_fault(field, found.dtype)


def _dtype_fault(field: Field, dtype: Any) -> tuple[str, str, str] | None:
    boolean = dtype == jnp.bool_
    if field.boolean:
        fix = "Convert it, for example with `.astype(bool)`."
        return None if boolean else ("dtype", f"is {dtype}, not boolean.", fix)
    real = jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)
    if boolean or real:
        return None
    return "dtype", f"is {dtype}, not real numbers.", "Return floats, integers or booleans."


def _shape_fix(
    spec: EnvironmentSpec, field: Field, shape: tuple[int, ...], lead: tuple[int, ...]
) -> str:
    if field.per_agent and shape == (*lead, spec.num_agents, *field.shape):
        return field.per_agent
    if lead and shape == field.shape:
        return f"Add a leading axis for the environments: the batch has {lead[0]} of them."
    if field.shape and shape == (*lead, *field.shape[1:]):
        return f"Return one row for each of the {spec.num_agents} agents."
    if shape == (*lead, *reversed(field.shape)):
        return "The axes are in a different order: transpose it."
    return "Change the array, or the sizes in `spec`."


def _shape(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"


_SIZES = {
    "N": "num_agents",
    "d": "observation_size",
    "s": "state_size",
    "A": "num_actions",
    "D": "action_size",
}


def _legend(spec: EnvironmentSpec, field: Field, lead: tuple[int, ...]) -> str:
    """The sizes in the specification that a shape consists of."""
    if not field.axes:
        return ", one for the whole team"
    letters = field.axes.split(", ")
    names = ", ".join(f"{letter} = spec.{_SIZES[letter]}" for letter in letters)
    return f" = [{', '.join(['E'] * len(lead) + letters)}] with {names}"
