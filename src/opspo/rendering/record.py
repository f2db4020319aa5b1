"""Playing one episode and taking a picture of every state in it.

The episode is the first one that `opspo eval` plays with the same seed. Outside of JAX, where
`opspo eval` plays a batch of engines, it is the one of `--episodes 1`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from PIL import Image

from opspo.environments.base import EnvironmentSpec, HostBatch, JaxEnvironment, Step
from opspo.errors import ConfigError
from opspo.evaluate import episode_keys, step_keys
from opspo.policy import Policy

Paint = Callable[[Sequence[Any]], Iterator[Image.Image]]
"""(the states of an episode) → a picture of each"""
Frame = Callable[[], Image.Image]
"""() → a picture of the state after the last step"""

WON, NOT_WON, END, STOPPED = "won", "not won", "end", "stopped"


@dataclass(frozen=True)
class Episode:
    """Which episode to play, and how."""

    seed: int
    greedy: bool
    limit: int
    """Steps after which the episode counts as ended, as in an evaluation"""
    max_steps: int = 0
    """Steps after which the film stops; 0 for no such stop"""


@dataclass(frozen=True)
class Tally:
    """The progress of an episode after a step."""

    step: int = 0
    total: float = 0.0
    """Sum of the rewards so far"""
    ending: str = ""
    """How the episode ended; empty while it continues"""

    def after(self, step: Step, spec: EnvironmentSpec, episode: Episode) -> Tally:
        """The tally after one more step; for a batch, that of the first row."""
        length, ending = self.step + 1, ""
        if _first(step.terminated) or _first(step.truncated) or length >= episode.limit:
            ending = (WON if _first(step.win) else NOT_WON) if spec.has_win else END
        elif length == episode.max_steps:
            ending = STOPPED
        return Tally(length, self.total + float(_first(step.reward)), ending)


@dataclass(frozen=True)
class Shot:
    """A picture of a state, and the tally there."""

    picture: Image.Image
    tally: Tally


def record_jax(
    environment: JaxEnvironment, paint: Paint, policy: Policy, episode: Episode
) -> Iterator[Shot]:
    """Play an episode in JAX. It is played to its end before the first picture is drawn."""
    reset_key, play_key = episode_keys(episode.seed, 0)
    step_once = jax.jit(environment.step)
    state, seen = jax.jit(environment.reset)(reset_key)
    states, tallies = [jax.device_get(state)], [Tally()]
    policy.reset()
    while not tallies[-1].ending:
        act_key, environment_key = step_keys(play_key, tallies[-1].step)
        action = policy.act(
            seen.observation, seen.available_actions, greedy=episode.greedy, key=act_key
        )
        state, step = step_once(environment_key, state, action)
        seen = step.observation
        states.append(jax.device_get(state))
        tallies.append(tallies[-1].after(step, environment.spec, episode))
    for picture, tally in zip(paint(states), tallies, strict=True):
        yield Shot(picture, tally)


def record_host(batch: HostBatch, frame: Frame, policy: Policy, episode: Episode) -> Iterator[Shot]:
    """Play an episode outside of JAX, in a batch of one that is closed at the end."""
    try:
        seen, key, tally = batch.reset(), jax.random.PRNGKey(episode.seed), Tally()
        yield Shot(frame(), tally)
        policy.reset()
        while not tally.ending:
            (act_key,) = jax.random.split(jax.random.fold_in(key, tally.step), 1)
            available = None if seen.available_actions is None else seen.available_actions[0]
            action = policy.act(seen.observation[0], available, greedy=episode.greedy, key=act_key)
            step, seen = batch.step(action[None])
            tally = tally.after(step, policy.spec, episode)
            yield Shot(frame(), tally)
    finally:
        batch.close()


def as_picture(pixels: Any) -> Image.Image:
    """An array of 8-bit red, green and blue, uint8 [height, width, 3], as a picture.

    Raises:
        ConfigError: the array has another shape or dtype.
    """
    array = np.asarray(pixels)
    if array.ndim != 3 or array.shape[-1] != 3 or array.dtype != np.uint8:
        raise ConfigError(
            "A frame must be an array, uint8 [height, width, 3], but is "
            f"{array.dtype} {list(array.shape)}."
        )
    return Image.fromarray(array)


def _first(value: Any) -> Any:
    """The first value of an array [] or [E]."""
    return np.asarray(value).reshape(-1)[0]
