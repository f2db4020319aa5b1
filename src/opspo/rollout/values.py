"""The critic along a batch."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.policies.team import Critic
from opspo.types import Array, TrainState, Trajectory


def values_along(
    critic: Critic, state: TrainState, trajectory: Trajectory
) -> tuple[Array, Array, Array, Array]:
    """Run the critic along the batch.

    Returns:
        Its memory before each step [T, E, M, h] and after the last [E, M, h], and its raw values
        of the states and of their true successors, [T, E, M].
    """
    steps, envs, members, size = trajectory.state.shape
    flat = steps * envs
    if critic.memory_size == 0:
        both = jnp.stack([trajectory.state, trajectory.next_state])
        both = both.reshape(1, 2 * flat, members, size)
        value = critic.values(
            state.critic,
            both,
            jnp.zeros((2 * flat, members, 0)),
            jnp.zeros((1, 2 * flat), bool),
        )
        value, next_value = value.reshape(2, steps, envs, members)
        empty = jnp.zeros((steps, envs, members, 0))
        return empty, state.critic_memory, value, next_value

    def step(memory: Array, now: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array, Array]]:
        seen, first = now
        value, after = critic.unroll(state.critic, seen[None], memory, first[None])
        return after, (memory, after, value[0, ..., 0])

    memory, (before, after, value) = jax.lax.scan(
        step, state.critic_memory, (trajectory.state, trajectory.first)
    )
    # the successor's value: one step more from the memory after this one, before any reset
    next_value = critic.values(
        state.critic,
        trajectory.next_state.reshape(1, flat, members, size),
        after.reshape(flat, members, -1),
        jnp.zeros((1, flat), bool),
    )
    return before, memory, value, next_value.reshape(steps, envs, members)
