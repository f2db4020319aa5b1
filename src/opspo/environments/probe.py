"""What a probe is: a game given by three functions of its state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.types import Array

State = dict[str, Array]


@dataclass(frozen=True)
class Probe:
    """A game given by three functions of its state.

    The state always has the clock `t` and the game's `draw`, a random number of each agent in
    [0, 1) drawn at the reset; `update` may add to it.
    """

    spec: EnvironmentSpec
    optimal_return: float
    """Expected undiscounted return of an episode under the best joint policy."""
    start: Callable[[Array], State]
    """State of a new episode from the draw [N]."""
    observe: Callable[[State], Observation]
    """What the agents see."""
    update: Callable[[State, Array], tuple[State, Array, Array]]
    """State, joint action → next state (the clock aside), reward, terminated."""

    def reset(self, key: Array) -> tuple[Any, Observation]:
        """Start an episode."""
        draw = jax.random.uniform(key, (self.spec.num_agents,))
        state = self.start(draw) | {"t": jnp.array(0), "draw": draw}
        return state, self.observe(state)

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, Step]:
        """Play the joint action; at the limit the episode is truncated."""
        del key
        state, reward, terminated = self.update(state, action)
        state = state | {"t": state["t"] + 1}
        limit = state["t"] >= self.spec.episode_limit
        return state, Step(
            observation=self.observe(state),
            reward=reward.astype(jnp.float32),
            terminated=terminated,
            truncated=limit & ~terminated,
            win=jnp.array(False),
        )


def spec(name: str, size: int, limit: int, **sizes: Any) -> EnvironmentSpec:
    """Two agents, unless said."""
    return EnvironmentSpec(
        name=f"probe/{name}",
        num_agents=sizes.pop("num_agents", 2),
        observation_size=size,
        state_size=sizes.pop("state_size", size),
        episode_limit=limit,
        engine="opspo",
        **sizes,
    )


def view(
    features: Array, num_actions: int, state: Array | None = None, **given: Array
) -> Observation:
    """Both agents see `features` [d] or [2, d]; every action is available unless said."""
    observation = jnp.broadcast_to(features, (2, features.shape[-1])).astype(jnp.float32)
    return Observation(
        observation=observation,
        state=(observation[0] if state is None else state).astype(jnp.float32),
        available_actions=given.get("available", jnp.ones((2, num_actions), bool)),
        alive=given.get("alive", jnp.ones(2, bool)),
    )


def nothing(draw: Array) -> State:
    """A state without anything of its own."""
    del draw
    return {}
