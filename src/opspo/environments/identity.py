"""The specification a run was trained for: stored in its folder and compared with another."""

from __future__ import annotations

import dataclasses
import json
import shlex
from dataclasses import dataclass
from typing import Any, Protocol

from opspo.environments.base import EnvironmentSpec
from opspo.errors import RunError
from opspo.run_folder import RunFolder

SIZES = ("num_agents", "observation_size", "state_size", "num_actions", "action_size")
OWN_SIZES = {"action_sizes": "action_size", "action_counts": "num_actions"}
"""Per-agent field → the field that holds for all agents where the per-agent one is empty."""


class HasSpec(Protocol):
    """Anything with a specification; the rest of the environment does not matter here."""

    @property
    def spec(self) -> EnvironmentSpec:
        """The environment's specification."""


@dataclass(frozen=True)
class StoredSpec:
    """A run's specification as stored in its folder."""

    spec: EnvironmentSpec
    unknown: frozenset[str]
    """Fields missing from the file because an older version wrote it."""


def store_spec(folder: RunFolder, spec: EnvironmentSpec) -> None:
    """Write a specification into a run folder."""
    folder.environment.write_text(json.dumps(dataclasses.asdict(spec), indent=2) + "\n")


def stored_spec(folder: RunFolder) -> StoredSpec:
    """Read what `store_spec` wrote, in this version or an older one.

    Raises:
        RunError: the file is missing or cannot be read.
    """
    fields = {field.name: field for field in dataclasses.fields(EnvironmentSpec)}
    try:
        found = json.loads(folder.environment.read_text())
        if strange := sorted(found.keys() - fields.keys()):
            raise ValueError(f"it has {', '.join(strange)}, so a later version of opspo wrote it")
        # JSON stores tuples as lists
        values: dict[str, Any] = {
            name: _tuples(value) if fields[name].default == () else value
            for name, value in found.items()
        }
        spec = EnvironmentSpec(**values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{folder.environment} cannot be read: {error}. Put it back, or train again to have it "
            "rewritten."
        ) from error
    return StoredSpec(spec, frozenset(fields.keys() - found.keys()))


def differences(stored: StoredSpec, now: EnvironmentSpec) -> list[str]:
    """What a policy trained for one would get wrong in the other, as a list of clauses.

    The name, engine and episode limit may differ. Whatever one of the two does not know (unnamed
    agents, fields that an older version did not store) is not compared.
    """
    was = stored.spec
    said = [
        _said(name, getattr(was, name), getattr(now, name))
        for name in SIZES
        if getattr(was, name) != getattr(now, name)
    ]
    for name, most in OWN_SIZES.items():
        before, after = _each(was, name, most), _each(now, name, most)
        same_most = getattr(was, most) == getattr(now, most) and was.num_agents == now.num_agents
        if name not in stored.unknown and same_most and before != after:
            said.append(_said(name, _listed(before), _listed(after)))
    if "decision_counts" not in stored.unknown and _same_but_for_decisions(was, now):
        said.append(_said("decision_counts", _listed(was.counts), _listed(now.counts)))
    if was.agents and now.agents and was.agents != now.agents:
        said.append(f"agents were {_listed(was.agents)} and are {_listed(now.agents)}")
    return said


def check_same(folder: RunFolder, environment: HasSpec, stored: StoredSpec) -> None:
    """Check that an environment is the one that the run in a folder was trained for.

    Raises:
        RunError: it is not; the message lists every difference.
    """
    found = differences(stored, environment.spec)
    if found:
        run = shlex.quote(str(folder.path))
        raise RunError(
            f"The environment {environment.spec.name} is not the one that {folder.path} was "
            f"trained for ({stored.spec.name}): {'; '.join(found)}. Use the environment that it "
            "was trained for, with the agents in that order, or train a new run from its "
            f"parameters: opspo train --init-from {run}"
        )


def _same_but_for_decisions(was: EnvironmentSpec, now: EnvironmentSpec) -> bool:
    """Whether the number of decisions is the same but some have a different number of choices."""
    return (
        bool(was.decision_counts or now.decision_counts)
        and [len(own) for own in was.counts] == [len(own) for own in now.counts]
        and was.num_actions == now.num_actions
        and was.counts != now.counts
    )


def _tuples(value: Any) -> tuple[Any, ...]:
    return tuple(_tuples(each) if isinstance(each, list) else each for each in value)


def _said(name: str, was: Any, now: Any) -> str:
    return f"{name} was {was} and is {now}"


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(map(str, values))


def _each(spec: EnvironmentSpec, own: str, most: str) -> tuple[int, ...]:
    return getattr(spec, own) or (getattr(spec, most),) * spec.num_agents
