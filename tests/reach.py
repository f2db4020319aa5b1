"""A team with actions of two dimensions, as an environment of one's own."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.types import Array

LIMIT = 3


class Reach:
    """Each of two agents sees a point in the plane and is paid for moving near to it."""

    def __init__(self, **changed: Any) -> None:
        sizes = EnvironmentSpec("own/reach", 2, 2, 4, action_size=2, engine="own 1")
        self.spec = dataclasses.replace(sizes, **changed)

    def reset(self, key: Array) -> tuple[Any, Observation]:
        """A new point for each."""
        state = {"goal": jax.random.uniform(key, (2, 2), minval=-1.0), "t": jnp.array(0)}
        return state, self._see(state)

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, Step]:
        """Three moves; none counts for the next."""
        del key
        reward = -jnp.abs(action - state["goal"]).mean()
        state = state | {"t": state["t"] + 1}
        over = state["t"] == LIMIT
        no = jnp.array(False)
        return state, Step(self._see(state), reward, terminated=over, truncated=no, win=no)

    def _see(self, state: Any) -> Observation:
        return Observation(state["goal"], state["goal"].reshape(-1), None, jnp.ones(2, bool))
