"""Filming what is a joint environment; see `environments/joint.py`."""

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
"""(joint environment) → its picture now"""


def open_filmed(
    spec: EnvironmentSpec, joint: gymnasium.Env, picture_of: PictureOf, seed: int
) -> tuple[JointBatch, Frame]:
    """A batch of one in this process that takes a picture after each step, and the latest."""
    filmed = _Filmed(joint, picture_of)
    batch = JointBatch(spec, lambda: filmed, 1, seed, workers=False)
    return batch, lambda: filmed.pictures[-1]


class _Filmed(gymnasium.Wrapper):
    """Pictures of one episode."""

    def __init__(self, joint: gymnasium.Env, picture_of: PictureOf) -> None:
        super().__init__(joint)
        self._picture_of = picture_of
        self.pictures: list[Image.Image] = []
        """Only the latest"""

    def reset(self, **arguments: Any) -> Any:
        """Start; the reset that follows an episode's end is no part of the film."""
        answer = self.env.reset(**arguments)
        if not self.pictures:
            self.pictures = [self._picture_of(self.env)]
        return answer

    def step(self, action: Any) -> Any:
        """Step."""
        answer = self.env.step(action)
        self.pictures = [self._picture_of(self.env)]
        return answer


def with_render_mode(environment: PettingZoo) -> PettingZoo:
    """The same that makes its engines with a picture, if what makes them can be asked to."""
    filmed, asked = copy.copy(environment), {"render_mode": "rgb_array"}
    with suppress(TypeError):
        inspect.signature(environment.make).bind(**asked)
        filmed.make = partial(environment.make, **asked)
    return filmed


def rendered(joint: gymnasium.Env) -> Image.Image:
    """What its `render` gives.

    Raises:
        ConfigError: that is no picture.
    """
    pixels = joint.render()
    if pixels is None:
        raise ConfigError(
            "The environment's render() gives no picture. Make it with "
            'render_mode="rgb_array", for example opspo.from_pettingzoo(lambda: '
            'simple_spread_v3.parallel_env(render_mode="rgb_array")).'
        )
    return as_picture(pixels)
