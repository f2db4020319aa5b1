"""What the agents of a team decide at each step, whichever library's spaces describe it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opspo.environments.base import EnvironmentSpec
from opspo.errors import ConfigError


@dataclass(frozen=True)
class Action:
    """What one agent decides at each step."""

    size: int
    """Number of values in [−1, 1], or number of decisions"""
    counts: tuple[int, ...]
    """Number of choices in each decision; () for continuous actions"""
    decode: Callable[[Any], Any]
    """([size] values, or choices counted from 0) → the action in the engine's format"""


def to_range(low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half-width of the interval that [−1, 1] is mapped to.

    That interval is [low, high] if both are finite, [low, low + 2] or [high − 2, high] if only one
    is, and [−1, 1] if neither is.

    Args:
        low: [D] lower bounds, −inf for none.
        high: [D] upper bounds, inf for none.

    Returns:
        Two arrays [D]; the action is centre + half-width × value.
    """
    low, high = np.asarray(low, float), np.asarray(high, float)
    below, above = np.isfinite(low), np.isfinite(high)
    floor, ceiling = np.where(below, low, 0), np.where(above, high, 0)
    alone = np.where(below, floor + 1, np.where(above, ceiling - 1, 0))
    both = below & above
    return (
        np.where(both, floor / 2 + ceiling / 2, alone),
        np.where(both, ceiling / 2 - floor / 2, 1.0),
    )


def team_sizes(actions: Sequence[Action], name: str) -> dict[str, Any]:
    """The fields of an `EnvironmentSpec` that describe the agents' actions.

    Raises:
        ConfigError: some agents have discrete actions and others continuous ones.
    """
    kinds = {bool(action.counts) for action in actions}
    if len(kinds) != 1:
        raise ConfigError(
            f"{name}: some agents have discrete actions, others continuous ones. Wrap the "
            "environment so that all have the same kind."
        )
    sizes = [action.size for action in actions]
    if not kinds.pop():
        return {"action_size": max(sizes), "action_sizes": unless_equal(sizes)}
    counts = [max(action.counts) for action in actions]
    if max(sizes) == 1:
        return {"num_actions": max(counts), "action_counts": unless_equal(counts)}
    each = [action.counts for action in actions]
    return {
        "num_actions": max(counts),
        "action_size": max(sizes),
        "action_sizes": unless_equal(sizes),
        "decision_counts": tuple(each) if len({n for own in each for n in own}) > 1 else (),
    }


def unless_equal(numbers: Sequence[int]) -> tuple[int, ...]:
    """The numbers as a tuple, or () if all are equal."""
    return () if len(set(numbers)) == 1 else tuple(numbers)


def choices_of(spec: EnvironmentSpec) -> np.ndarray:
    """Which discrete choices each agent has at all.

    Returns:
        [N, A] bool, or [N, D, A] for D decisions. A surplus choice is never available; a surplus
        decision has choice 0 only.
    """
    depth = spec.action_size or 1
    counts = [own + (1,) * (depth - len(own)) for own in spec.counts]
    choices: np.ndarray = np.arange(spec.num_actions) < np.array(counts)[..., None]
    return choices.reshape(spec.num_agents, *spec.choices)


def random_action(
    spec: EnvironmentSpec,
    available: Any,
    rng: np.random.Generator,
    *,
    lead: tuple[int, ...] = (),
) -> np.ndarray:
    """A uniformly random action for each agent.

    Args:
        spec: the environment's specification.
        available: [..., N, A] or [..., N, D, A] bool; ignored for continuous actions.
        rng: the generator to draw from.
        lead: for continuous actions, the shape in front of N.

    Returns:
        Available choices, int32 [..., N] or [..., N, D], or values in [−1, 1], float32 [..., N, D].
    """
    if not spec.num_actions:
        shape = (*lead, spec.num_agents, spec.action_size)
        return rng.uniform(-1, 1, shape).astype(np.float32)
    available = np.asarray(available, bool)
    draws = np.where(available, rng.random(available.shape), -1.0)
    return draws.argmax(-1).astype(np.int32)


def allowed(mask: Any, action: Action, depth: int, most: int) -> np.ndarray:
    """One agent's mask from the engine, padded to the team's decisions and choices.

    Args:
        mask: one array per decision, however nested, or a single row of all of them.
        action: the agent's own decisions.
        depth: D, the most decisions of any agent.
        most: A, the most choices in any decision.

    Returns:
        [D, A] bool.

    Raises:
        ValueError: the mask does not have one entry for each of the agent's choices.
    """
    row = _row(mask)
    if row.size != sum(action.counts):
        raise ValueError(
            f"its action mask has {row.size} entries, but it has {sum(action.counts)} choices"
        )
    out = np.zeros((depth, most), bool)
    out[action.size :, 0] = True
    for decision, own in enumerate(np.split(row, np.cumsum(action.counts)[:-1])):
        out[decision, : own.size] = own
    return out


def _row(mask: Any) -> np.ndarray:
    """All entries, flattened."""
    if isinstance(mask, tuple | list) and mask:
        return np.concatenate([_row(part) for part in mask])
    return np.asarray(mask, bool).reshape(-1)
