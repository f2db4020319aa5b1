"""The probe: a game defined by three functions of its state."""

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
    """A game defined by three functions of its state, as a `JaxEnvironment`.

    The state always has the clock `t` and `draw` [N], one random number per agent in [0, 1), drawn
    at the reset; `start` and `update` may add to it.
    """

    spec: EnvironmentSpec
    optimal_return: float
    """Expected undiscounted return of an episode under the best joint policy."""
    start: Callable[[Array], State]
    """Draw [N] → the state of a new episode, without the clock and the draw."""
    observe: Callable[[State], Observation]
    """State → what the agents see."""
    update: Callable[[State, Array], tuple[State, Array, Array]]
    """State, joint action → next state (apart from the clock), reward [], terminated []."""

    def reset(self, key: Array) -> tuple[Any, Observation]:
        """Start an episode; return its state and the first observation."""
        draw = jax.random.uniform(key, (self.spec.num_agents,))
        state = self.start(draw) | {"t": jnp.array(0), "draw": draw}
        return state, self.observe(state)

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, Step]:
        """Take the joint action; the episode is truncated at the limit."""
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
    """A probe's specification.

    Args:
        name: without `probe/`.
        size: d, and s unless `sizes` says otherwise.
        limit: the episode limit.
        **sizes: further fields; two agents unless `num_agents` says otherwise.
    """
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
    """An observation of two agents.

    Args:
        features: [d] that both see, or [2, d].
        num_actions: A.
        state: [s]; by default what agent 0 sees.
        **given: `available` [2, A] bool and `alive` [2] bool; by default all true.
    """
    observation = jnp.broadcast_to(features, (2, features.shape[-1])).astype(jnp.float32)
    return Observation(
        observation=observation,
        state=(observation[0] if state is None else state).astype(jnp.float32),
        available_actions=given.get("available", jnp.ones((2, num_actions), bool)),
        alive=given.get("alive", jnp.ones(2, bool)),
    )


def nothing(draw: Array) -> State:
    """A start state with nothing but the clock and the draw."""
    del draw
    return {}
