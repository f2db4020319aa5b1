"""What the agents of a team decide in a step, whatever library's spaces say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opspo.environments.base import EnvironmentSpec
from opspo.errors import ConfigError


@dataclass(frozen=True)
class Action:
    """What one agent decides in a step."""

    size: int
    """How many numbers in [−1, 1], or how many decisions"""
    counts: tuple[int, ...]
    """Choices of each decision; () where the action is numbers"""
    decode: Callable[[Any], Any]
    """([size] numbers or choices from 0) → the action as its engine takes it"""


def to_range(low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half-width of the interval that [−1, 1] is brought to.

    That is [low, high] where both are finite, else what lies next to the end that is: [low,
    low + 2], [high − 2, high], and [−1, 1] where there is neither.

    Args:
        low: [D].
        high: [D].

    Returns:
        Two arrays [D]; the action is centre + half-width × number.
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
    """The fields of an `EnvironmentSpec` that say what its agents decide.

    Raises:
        ConfigError: some choose and others give numbers.
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
    """Each agent's number, or () where all have the same."""
    return () if len(set(numbers)) == 1 else tuple(numbers)


def choices_of(spec: EnvironmentSpec) -> np.ndarray:
    """Which discrete choices the agents have at all.

    Returns:
        [N, A] bool, or [N, D, A] of D decisions. A surplus choice is never available; a surplus
        decision has choice 0 alone.
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
    """Any available choices, int [..., N] or [..., N, D], or numbers in [−1, 1], [..., N, D].

    Args:
        spec: of the environment.
        available: [..., N, A] or [..., N, D, A]; of no matter with numbers.
        rng: what is drawn from.
        lead: with numbers, the shape that comes before N.
    """
    if not spec.num_actions:
        shape = (*lead, spec.num_agents, spec.action_size)
        return rng.uniform(-1, 1, shape).astype(np.float32)
    available = np.asarray(available, bool)
    draws = np.where(available, rng.random(available.shape), -1.0)
    return draws.argmax(-1).astype(np.int32)


def allowed(mask: Any, action: Action, depth: int, most: int) -> np.ndarray:
    """An engine's own mask of one agent among all choices of the team.

    Args:
        mask: an array for each decision, however nested, or all of them in one row.
        action: the agent's.
        depth: D.
        most: A.

    Returns:
        [D, A] bool.

    Raises:
        ValueError: the mask has another length than the choices together.
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
    """All its entries in a row."""
    if isinstance(mask, tuple | list) and mask:
        return np.concatenate([_row(part) for part in mask])
    return np.asarray(mask, bool).reshape(-1)
