"""Which environments can be filmed, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from opspo.environments.base import Environment, runs_on_host
from opspo.environments.entry import in_its_words
from opspo.errors import ConfigError
from opspo.policy import Policy
from opspo.rendering.record import Episode, Shot, as_picture, record_host, record_jax

Record = Callable[[Any, Policy, Episode], Iterator[Shot]]
"""(environment, policy, episode) → a shot of every state"""


@dataclass(frozen=True)
class Renderer:
    """How a family of environments is filmed."""

    record: Record
    fps: int = 10
    """Default number of steps shown per second"""

    def shots(self, environment: Environment, policy: Policy, episode: Episode) -> Iterator[Shot]:
        """Play the episode and take a shot of every state.

        Raises:
            EngineError: the environment raised; the message has its traceback.
        """
        with in_its_words("The episode failed."):
            yield from self.record(environment, policy, episode)


def _smax(environment: Any, policy: Policy, episode: Episode) -> Iterator[Shot]:
    from opspo.rendering.smax import paint  # noqa: PLC0415

    return record_jax(environment, partial(paint, environment), policy, episode)


def _mujoco(environment: Any, policy: Policy, episode: Episode) -> Iterator[Shot]:
    from opspo.rendering.mujoco import open_filmed  # noqa: PLC0415

    return record_host(*open_filmed(environment, episode.seed), policy, episode)


def _football(environment: Any, policy: Policy, episode: Episode) -> Iterator[Shot]:
    from opspo.environments.football import Match  # noqa: PLC0415  (loads the engine)
    from opspo.rendering.engine_pictures import open_filmed  # noqa: PLC0415
    from opspo.rendering.football import picture_of  # noqa: PLC0415

    opened = open_filmed(environment.spec, Match(environment), picture_of, episode.seed)
    return record_host(*opened, policy, episode)


def _pettingzoo(environment: Any, policy: Policy, episode: Episode) -> Iterator[Shot]:
    from opspo.environments.pettingzoo import Joint  # noqa: PLC0415
    from opspo.rendering.engine_pictures import open_filmed, rendered, with_render_mode  # noqa: PLC0415

    joint = Joint(with_render_mode(environment))
    opened = open_filmed(environment.spec, joint, rendered, episode.seed)
    return record_host(*opened, policy, episode)


RENDERERS: dict[str, Renderer] = {
    "smax": Renderer(_smax),
    "mamujoco": Renderer(_mujoco, fps=25),
    "football": Renderer(_football, fps=20),
    "pettingzoo": Renderer(_pettingzoo),
}
"""Module of `opspo.environments` that defines the environment's class → renderer"""


def renderer_of(environment: Environment) -> Renderer:
    """The renderer of an environment: its own `frame` if it has one, else one of `RENDERERS`.

    Raises:
        ConfigError: there is none.
    """
    if hasattr(environment, "frame"):
        return Renderer(_own_jax)
    package, _, module = type(environment).__module__.rpartition(".")
    if package == "opspo.environments" and module in RENDERERS:
        return RENDERERS[module]
    if runs_on_host(environment):
        return Renderer(_own_host)
    raise _no_picture(environment)


def _own_jax(environment: Any, policy: Policy, episode: Episode) -> Iterator[Shot]:
    def paint(states: Sequence[Any]) -> Iterator[Image.Image]:
        return (as_picture(environment.frame(state)) for state in states)

    return record_jax(environment, paint, policy, episode)


def _own_host(environment: Any, policy: Policy, episode: Episode) -> Iterator[Shot]:
    batch = environment.open(1, episode.seed)
    if not hasattr(batch, "frame"):
        batch.close()
        raise _no_picture(environment)
    return record_host(batch, lambda: as_picture(batch.frame()), policy, episode)


def _no_picture(environment: Environment) -> ConfigError:
    return ConfigError(
        f"{environment.spec.name} has no picture, so there is nothing to watch. opspo can film "
        f"{', '.join(f'{name}/…' for name in RENDERERS)}, and your own environment if it has a "
        "method frame: see docs/watch.md."
    )
