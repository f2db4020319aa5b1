"""An environment of your own in JAX: check it, then train on it.

    python examples/own_environment.py

A light is on or off. Both agents see it and should both choose its state. An episode has five
steps, so the best return is 5; at random it is 1.25.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

import opspo

State = tuple[jax.Array, jax.Array]


class Light:
    """Two pure functions and the sizes. The library adds the batch axis and resets."""

    spec = opspo.EnvironmentSpec(
        "light", num_agents=2, observation_size=1, state_size=1, num_actions=2, episode_limit=5
    )

    def reset(self, key: jax.Array) -> tuple[State, Any]:
        """Begin an episode."""
        state = (jax.random.bernoulli(key).astype(jnp.float32), jnp.array(0))
        return state, self.observe(state)

    def step(self, key: jax.Array, state: State, action: jax.Array) -> tuple[State, Any]:
        """Pay 1 if both agents chose the light's state, and draw the next one."""
        light, t = state
        reward = (action == light).all().astype(jnp.float32)
        state = (jax.random.bernoulli(key).astype(jnp.float32), t + 1)
        no = jnp.array(False)
        return state, opspo.Step(self.observe(state), reward, no, t + 1 == 5, no)

    def observe(self, state: State) -> Any:
        """What the team sees: the light. Nobody dies, and every action is available."""
        light, available = state[0], jnp.ones((2, 2), bool)
        return opspo.Observation(jnp.full((2, 1), light), light[None], available, jnp.ones(2, bool))


def main() -> None:
    """Check, train, print the return."""
    print(opspo.check_env(Light()))
    config = opspo.default_config("light", "opspo")
    config = dataclasses.replace(config, total_steps=32_000, run_dir="runs/light")
    result = opspo.train(config, environment=Light(), overwrite=True)
    assert result.evaluation is not None  # the settings ask for one
    print("mean return:", result.evaluation.summary()["mean_return"])


if __name__ == "__main__":
    main()
