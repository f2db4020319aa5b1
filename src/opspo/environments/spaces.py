"""Gymnasium's spaces as input vectors for networks, and as the numbers or choices they output.

Spaces are told apart by their type. Observations: `Box` and `MultiBinary` of any shape are
flattened, `Discrete` and `MultiDiscrete` become one-hot vectors, `Dict` and `Tuple` are converted
part by part. Actions: each element of a `Box` is a dimension; each element of a `Discrete`,
`MultiDiscrete` or `MultiBinary` is a decision; `Dict` and `Tuple` may hold one of these two kinds.
Everything else is refused.
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
"""The key of an observation or an info that says which actions are available"""
IMAGE_SIDE = 20
"""Length from which an axis counts as long: the largest boards have 19 points, the smallest images
28 pixels"""
AN_IMAGE = (
    "With three axes or more, an image is what holds bytes (uint8, or from 0 to 255) or has two "
    f"axes of {IMAGE_SIDE} or more; with two axes, what does both. Flatten a grid that is not an "
    "image to one row"
)
_UNBOUNDED = float(np.finfo(np.float32).max)
"""Bounds of this size or more count as no bounds"""


@dataclass(frozen=True)
class View:
    """How an agent's observation becomes a vector."""

    size: int
    encode: Callable[[Any], np.ndarray]
    """(observation) → [size] float32; raises a ValueError, TypeError or KeyError if it does not
    fit"""


def view_of(space: Any, who: str) -> View:
    """How observations from a space become vectors, without the action mask.

    Args:
        space: one of Gymnasium's.
        who: for messages, such as "spread: agent 'a'".

    Raises:
        ConfigError: the space is an image, has no fixed size, has a mask anywhere but among its
            top-level keys, or has nothing but a mask.
    """
    if isinstance(space, spaces.Dict) and MASK in space.spaces:
        rest = {key: part for key, part in space.spaces.items() if key != MASK}
        if not rest:
            raise ConfigError(f"{who} observes nothing but its {MASK}. Add an observation.")
        return _parts({k: _view(part, _within(who, f"'{k}'")) for k, part in rest.items()})
    view = _view(space, who)
    if isinstance(space, spaces.Dict):
        return view
    return View(view.size, lambda value: view.encode(_without_mask(value)))


def _without_mask(value: Any) -> Any:
    """The observation alone, if a mask comes with it that the space does not mention."""
    if isinstance(value, Mapping) and set(value) == {"observation", MASK}:
        return value["observation"]
    return value


def _view(space: Any, who: str) -> View:
    if is_image(space):
        raise ConfigError(
            f"{who} observes an image, {space}, and opspo's networks take vectors. Wrap the "
            f"environment so that it returns a vector of features. ({AN_IMAGE}.)"
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
                f"{who} has an {MASK} nested in its observation, where it would be a feature and "
                "mask nothing. Put it among the top-level keys of the observation, or in the info."
            )
        return _parts({k: _view(part, _within(who, f"'{k}'")) for k, part in space.spaces.items()})
    if isinstance(space, spaces.Tuple):
        return _parts(
            {i: _view(part, _within(who, f"part {i}")) for i, part in enumerate(space.spaces)}
        )
    raise ConfigError(
        f"{who} observes a {space}, which cannot become a vector of fixed size. opspo supports "
        "Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of them; wrap the "
        "environment so that it uses one of these."
    )


def _within(who: str, part: str) -> str:
    """A part of an agent's observation, as the subject of a sentence."""
    return f"{who.removesuffix(',')}, {part},"


def is_image(space: Any) -> bool:
    """Whether a space, of any kind, holds images, as `AN_IMAGE` defines them."""
    if not isinstance(space, spaces.Box | spaces.MultiBinary):
        return False
    of_bytes = space.dtype == np.uint8
    if isinstance(space, spaces.Box):
        of_bytes |= bool((space.low == 0).all() and (space.high == 255).all())
    return has_image_shape(space.shape, of_bytes=of_bytes)


def has_image_shape(shape: Sequence[int], *, of_bytes: bool) -> bool:
    """Whether an array of that shape is an image, as `AN_IMAGE` defines it."""
    solid, large = len(shape) >= 3, sum(side >= IMAGE_SIDE for side in shape) >= 2
    return solid + large + of_bytes >= 2


def _parts(views: Mapping[Any, View]) -> View:
    """The views of a Dict's or Tuple's parts, concatenated."""

    def encode(value: Any) -> np.ndarray:
        return np.concatenate([view.encode(value[key]) for key, view in views.items()])

    return View(sum(view.size for view in views.values()), encode)


def _row(value: Any, size: int) -> np.ndarray:
    if value is None:  # NumPy would make a NaN of it
        raise TypeError("it is None")
    row = np.asarray(value, np.float32).reshape(-1)
    if row.size != size:
        raise ValueError(f"it has {row.size} numbers, not {size}")
    return row


def _one_hot(space: Any, value: Any, counts: Any) -> np.ndarray:
    number = np.asarray(value).reshape(space.shape)
    choice = number - space.start
    # negative numbers would count from the end
    if not ((choice >= 0) & (choice < counts) & (choice == choice.astype(int))).all():
        raise ValueError(f"{value} is outside the space")
    return np.asarray(flatten(space, number.astype(int)), np.float32)


def action_of(space: Any, who: str) -> Action:
    """What an agent decides in an action space.

    Args:
        space: one of Gymnasium's.
        who: for messages, such as "spread: agent 'a'".

    Raises:
        ConfigError: the space is of none of the kinds above, or mixes choices with numbers.
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
        f"{who} acts in a {space}, which is neither numbers nor a fixed number of choices. opspo "
        "supports Box, Discrete, MultiDiscrete, MultiBinary, and Dict and Tuple of them; wrap the "
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
    """All parts of a Tuple as one action; `decode` returns a tuple."""
    actions = [action_of(part, who) for part in parts]
    if len({bool(action.counts) for action in actions}) != 1:
        raise ConfigError(
            f"{who} acts in a {space}, which has no parts, or mixes choices and numbers. Wrap the "
            "environment so that it takes only choices (Discrete, MultiDiscrete, MultiBinary) or "
            "only numbers (Box)."
        )
    ends = np.cumsum([action.size for action in actions])[:-1]

    def decode(own: np.ndarray) -> tuple[Any, ...]:
        return tuple(a.decode(part) for a, part in zip(actions, np.split(own, ends), strict=True))

    return Action(int(sum(a.size for a in actions)), sum((a.counts for a in actions), ()), decode)
