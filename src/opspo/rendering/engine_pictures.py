"""Filming joint environments; see `environments/joint.py`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import gymnasium
from PIL import Image

from opspo.environments.base import EnvironmentSpec
from opspo.environments.joint import JointBatch
from opspo.errors import ConfigError
from opspo.rendering.record import Frame, as_picture

if TYPE_CHECKING:
    from opspo.environments.pettingzoo import PettingZoo

PictureOf = Callable[[Any], Image.Image]
"""(joint environment) → a picture of its current state"""


def open_filmed(
    spec: EnvironmentSpec, joint: gymnasium.Env, picture_of: PictureOf, seed: int
) -> tuple[JointBatch, Frame]:
    """A batch of one environment in this process that takes a picture after each step.

    Returns:
        The batch, and a function that returns the latest picture.
    """
    filmed = _Filmed(joint, picture_of)
    batch = JointBatch(spec, lambda: filmed, 1, seed, workers=False)
    return batch, lambda: filmed.pictures[-1]


class _Filmed(gymnasium.Wrapper):
    """Takes the pictures of one episode."""

    def __init__(self, joint: gymnasium.Env, picture_of: PictureOf) -> None:
        super().__init__(joint)
        self._picture_of = picture_of
        self.pictures: list[Image.Image] = []
        """The latest picture only"""

    def reset(self, **arguments: Any) -> Any:
        """Reset; only the first reset is filmed, not the one after the episode's end."""
        answer = self.env.reset(**arguments)
        if not self.pictures:
            self.pictures = [self._picture_of(self.env)]
        return answer

    def step(self, action: Any) -> Any:
        """Take a step and a picture."""
        answer = self.env.step(action)
        self.pictures = [self._picture_of(self.env)]
        return answer


def with_render_mode(environment: PettingZoo) -> PettingZoo:
    """A copy that makes its engines with `render_mode="rgb_array"`, if `make` accepts that."""
    filmed, asked = copy.copy(environment), {"render_mode": "rgb_array"}
    with suppress(TypeError):
        inspect.signature(environment.make).bind(**asked)
        filmed.make = partial(environment.make, **asked)
    return filmed


def rendered(joint: gymnasium.Env) -> Image.Image:
    """The picture that the environment's `render` returns.

    Raises:
        ConfigError: it returns None, or something that is not a picture.
    """
    pixels = joint.render()
    if pixels is None:
        raise ConfigError(
            "The environment's render() returns no picture. Make it with "
            'render_mode="rgb_array", for example opspo.from_pettingzoo(lambda: '
            'simple_spread_v3.parallel_env(render_mode="rgb_array")).'
        )
    return as_picture(pixels)
