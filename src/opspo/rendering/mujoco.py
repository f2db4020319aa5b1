"""MuJoCo's robots, rendered by EnvPool from the same engine that the policy controls."""

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
"""Width and height of a frame in pixels"""


def open_filmed(environment: MAMuJoCo, seed: int) -> tuple[MuJoCoBatch, Frame]:
    """A batch of one robot that takes a picture after each step.

    Returns:
        The batch, and a function that returns the latest picture. The batch raises a `ConfigError`
        at the first picture if this machine cannot render.
    """
    _share_opengl()
    engine = _Filmed(
        environment.engine(1, seed, render_mode="rgb_array", render_width=SIZE, render_height=SIZE)
    )
    return MuJoCoBatch(environment, engine, 1), lambda: engine.picture


class _Filmed:
    """EnvPool's engine with one robot, and its latest picture."""

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
        if env_id is None:  # with one, the batch is only resetting what has ended
            self._take_picture()
        return answer

    def _take_picture(self) -> None:
        try:
            self.picture = Image.fromarray(self._engine.render()[0])
        except RuntimeError as error:
            raise ConfigError(
                f"MuJoCo cannot render here: {error}. Without a GPU, Mesa renders in software: "
                "apt-get install libegl-mesa0 libgl1-mesa-dri (or your system's Mesa with EGL)."
            ) from error


def _share_opengl() -> None:
    """Make EnvPool's libEGL visible to MuJoCo.

    EnvPool loads its copy privately, but MuJoCo looks for OpenGL among the symbols of the whole
    process, and aborts the process if it finds none.
    """
    import envpool  # noqa: PLC0415  (takes a second)

    libraries = Path(envpool.__file__).parent.parent / "envpool.libs"
    for library in libraries.glob("libEGL*"):
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
