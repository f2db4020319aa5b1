"""MuJoCo's robots, rendered by EnvPool from the very engine that the policy moves."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from opspo.environments.mamujoco import MuJoCoBatch
from opspo.errors import ConfigError
from opspo.rendering.record import Frame

if TYPE_CHECKING:
    from opspo.environments.mamujoco import MAMuJoCo

SIZE = 480
"""Pixels of a side"""


def open_filmed(environment: MAMuJoCo, seed: int) -> tuple[MuJoCoBatch, Frame]:
    """A batch of one that takes a picture after each step, and what gives the latest.

    Raises:
        ConfigError: nothing here can render, at the first picture.
    """
    _share_opengl()
    engine = _Filmed(
        environment.engine(1, seed, render_mode="rgb_array", render_width=SIZE, render_height=SIZE)
    )
    return MuJoCoBatch(environment, engine, 1), lambda: engine.picture


class _Filmed:
    """EnvPool's engine with one robot."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.action_space, self.close = engine.action_space, engine.close
        self.picture: Image.Image

    def reset(self) -> Any:
        answer = self._engine.reset()
        self._take_picture()
        return answer

    def step(self, action: np.ndarray, env_id: np.ndarray | None = None) -> Any:
        answer = self._engine.step(action, env_id)
        if env_id is None:  # with it, the batch only resets what has ended
            self._take_picture()
        return answer

    def _take_picture(self) -> None:
        try:
            self.picture = Image.fromarray(self._engine.render()[0])
        except RuntimeError as error:
            raise ConfigError(
                f"MuJoCo cannot render here: {error}. Where there is no GPU, Mesa renders in "
                "software: apt-get install libegl-mesa0 libgl1-mesa-dri (or your system's Mesa "
                "with EGL)."
            ) from error


def _share_opengl() -> None:
    """Let MuJoCo see EnvPool's libEGL.

    EnvPool loads its own for itself alone, but MuJoCo looks for OpenGL among what the whole
    process can see, and ends the process if there is none.
    """
    import envpool  # noqa: PLC0415  (takes a second)

    libraries = Path(envpool.__file__).parent.parent / "envpool.libs"
    for library in libraries.glob("libEGL*"):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
