"""Gymnasium's spaces as vectors for networks to see, and as numbers or choices for them to make.

A space is told by its type. Observations: `Box` and `MultiBinary` of any shape in a row, `Discrete`
and `MultiDiscrete` as one-hot vectors, `Dict` and `Tuple` part by part. Actions: `Box`, each
element a dimension; `Discrete`, `MultiDiscrete` and `MultiBinary`, each element a decision; `Dict`
and `Tuple` of one of these kinds. Everything else is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatdim, flatten

from opspo.environments.decisions import Action, to_range
from opspo.errors import ConfigError

MASK = "action_mask"
"""The key of an observation, or of an info, that says which actions can be taken"""
IMAGE_SIDE = 20
"""Pixels from which on an axis is long: the largest boards have 19 points, the smallest images 28
pixels"""
AN_IMAGE = (
    "Of three axes or more, that is what holds bytes (uint8, or from 0 to 255) or has two axes of "
    f"{IMAGE_SIDE} or more; of two axes, what has both. A grid that is none can be given as one row"
)
_UNBOUNDED = float(np.finfo(np.float32).max)
"""Bounds from here on count as none"""


@dataclass(frozen=True)
class View:
    """How an agent's observation becomes a vector."""

    size: int
    encode: Callable[[Any], np.ndarray]
    """(observation) → [size] float32; a ValueError, TypeError or KeyError if it does not fit"""


def view_of(space: Any, who: str) -> View:
    """How what is observed in a space becomes a vector, without its action mask.

    Args:
        space: Gymnasium's.
        who: for messages, such as "spread: agent 'a'".

    Raises:
        ConfigError: it is an image, has no fixed size, has a mask elsewhere than among its own
            keys, or nothing is left of it.
    """
    if isinstance(space, spaces.Dict) and MASK in space.spaces:
        rest = {key: part for key, part in space.spaces.items() if key != MASK}
        if not rest:
            raise ConfigError(f"{who} observes nothing but its {MASK}. Add what it sees.")
        return _parts({k: _view(part, _within(who, f"'{k}'")) for k, part in rest.items()})
    view = _view(space, who)
    if isinstance(space, spaces.Dict):
        return view
    return View(view.size, lambda value: view.encode(_without_mask(value)))


def _without_mask(value: Any) -> Any:
    """What is seen, where a mask comes along that the space does not mention."""
    if isinstance(value, Mapping) and set(value) == {"observation", MASK}:
        return value["observation"]
    return value


def _view(space: Any, who: str) -> View:
    if is_image(space):
        raise ConfigError(
            f"{who} observes an image, {space}, and opspo's networks take vectors. Wrap the "
            f"environment so that it gives a vector of features. ({AN_IMAGE}.)"
        )
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        size = math.prod(space.shape)
        return View(size, lambda value: _row(value, size))
    if isinstance(space, spaces.Discrete):
        return View(flatdim(space), lambda value: _one_hot(space, value, space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return View(flatdim(space), lambda value: _one_hot(space, value, space.nvec))
    if isinstance(space, spaces.Dict):
        if MASK in space.spaces:
            raise ConfigError(
                f"{who} has an {MASK} within what it observes, where it would be a feature and "
                "mask nothing. Put it beside the other keys of the whole observation, or in the "
                "info."
            )
        return _parts({k: _view(part, _within(who, f"'{k}'")) for k, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return _parts(
            {i: _view(part, _within(who, f"part {i}")) for i, part in enumerate(space.spaces)}
        )
    raise ConfigError(
        f"{who} observes a {space}, which does not become a vector of fixed size. There are Box, "
        "Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of them; wrap the environment so "
        "that it gives one of these."
    )


def _within(who: str, part: str) -> str:
    """A part of what somebody observes, as the subject of a sentence."""
    return f"{who.removesuffix(',')}, {part},"


def is_image(space: Any) -> bool:
    """Whether a space, of any kind, holds images, as `AN_IMAGE` says."""
    if not isinstance(space, spaces.Box | spaces.MultiBinary):
        return False
    of_bytes = space.dtype == np.uint8
    if isinstance(space, spaces.Box):
        of_bytes |= bool((space.low == 0).all() and (space.high == 255).all())
    return has_image_shape(space.shape, of_bytes=of_bytes)


def has_image_shape(shape: Sequence[int], *, of_bytes: bool) -> bool:
    """Whether an array of a shape is an image, as `AN_IMAGE` says."""
    solid, large = len(shape) >= 3, sum(side >= IMAGE_SIDE for side in shape) >= 2
    return solid + large + of_bytes >= 2


def _parts(views: Mapping[Any, View]) -> View:
    """Those of a Dict or Tuple in a row."""

    def encode(value: Any) -> np.ndarray:
        return np.concatenate([view.encode(value[key]) for key, view in views.items()])

    return View(sum(view.size for view in views.values()), encode)


def _row(value: Any, size: int) -> np.ndarray:
    if value is None:  # NumPy would make a NaN of it
        raise TypeError("it is None")
    row = np.asarray(value, np.float32).reshape(-1)
    if row.size != size:
        raise ValueError(f"it has {row.size} numbers and not {size}")
    return row


def _one_hot(space: Any, value: Any, counts: Any) -> np.ndarray:
    number = np.asarray(value).reshape(space.shape)
    choice = number - space.start
    # numbers below would count from the end
    if not ((choice >= 0) & (choice < counts) & (choice == choice.astype(int))).all():
        raise ValueError(f"{value} is outside of it")
    return np.asarray(flatten(space, number.astype(int)), np.float32)


def action_of(space: Any, who: str) -> Action:
    """What is decided in a space.

    Args:
        space: Gymnasium's.
        who: for messages, such as "spread: agent 'a'".

    Raises:
        ConfigError: its kind is none of those above, or it mixes choices with numbers.
    """
    if isinstance(space, spaces.Discrete):
        return Action(1, (int(space.n),), lambda own: int(own[0]) + int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        counts = tuple(int(n) for n in space.nvec.reshape(-1))
        return Action(len(counts), counts, lambda own: _shaped(space, own) + space.start)
    if isinstance(space, spaces.MultiBinary):
        size = math.prod(space.shape)
        return Action(size, (2,) * size, lambda own: _shaped(space, own))
    if isinstance(space, spaces.Box):
        return _numbers(space)
    if isinstance(space, spaces.Dict):
        keys, parts = list(space.spaces), list(space.spaces.values())
        inner = _several(parts, space, who)
        return Action(
            inner.size, inner.counts, lambda own: dict(zip(keys, inner.decode(own), strict=True))
        )
    if isinstance(space, spaces.Tuple):
        return _several(space.spaces, space, who)
    raise ConfigError(
        f"{who} acts in a {space}, which is neither numbers nor a fixed number of choices. There "
        "are Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of them; wrap the "
        "environment so that it takes one of these."
    )


def _shaped(space: Any, own: np.ndarray) -> np.ndarray:
    return np.asarray(own, space.dtype).reshape(space.shape)


def _numbers(space: spaces.Box) -> Action:
    low = np.where(space.bounded_below, space.low, -np.inf).reshape(-1).astype(float)
    high = np.where(space.bounded_above, space.high, np.inf).reshape(-1).astype(float)
    low[low <= -_UNBOUNDED], high[high >= _UNBOUNDED] = -np.inf, np.inf
    centre, half = to_range(low, high)
    whole = np.issubdtype(space.dtype, np.integer)

    def decode(own: np.ndarray) -> np.ndarray:
        numbers = np.clip(centre + half * np.clip(own, -1, 1), low, high)
        return _shaped(space, np.rint(numbers) if whole else numbers)

    return Action(low.size, (), decode)


def _several(parts: Sequence[Any], space: Any, who: str) -> Action:
    """All of a Tuple; `decode` gives a tuple."""
    actions = [action_of(part, who) for part in parts]
    if len({bool(action.counts) for action in actions}) != 1:
        raise ConfigError(
            f"{who} acts in a {space}, which has no part, or choices beside numbers. Wrap the "
            "environment so that it takes only choices (Discrete, MultiDiscrete, MultiBinary) or "
            "only numbers (Box)."
        )
    ends = np.cumsum([action.size for action in actions])[:-1]

    def decode(own: np.ndarray) -> tuple[Any, ...]:
        return tuple(a.decode(part) for a, part in zip(actions, np.split(own, ends), strict=True))

    return Action(int(sum(a.size for a in actions)), sum((a.counts for a in actions), ()), decode)
