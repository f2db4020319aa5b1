"""The critic along a batch."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.policies.team import Critic
from opspo.rollout.chunks import chunk_starts, from_chunks, to_chunks
from opspo.types import Array, TrainState, Trajectory


def values_along(
    critic: Critic, state: TrainState, trajectory: Trajectory
) -> tuple[Array, Array, Array, Array]:
    """Run the critic along the batch.

    Returns:
        Its memory before each step [T, E, M, h] and after the last [E, M, h], and its raw values
        of the states and of their true successors, [T, E, M].
    """
    envs = trajectory.reward.shape[1]

    def once(state: Array, memory: Array) -> Array:
        """Values [T, E, M] of states each by itself."""
        flat = to_chunks(state, 1)
        begin = jnp.zeros(flat.shape[:2], bool)
        return from_chunks(critic.values(params, flat, chunk_starts(memory, 1), begin), envs)

    params = state.critic
    if critic.memory_size == 0:
        empty = jnp.zeros((*trajectory.state.shape[:-1], 0))
        value, next_value = (once(x, empty) for x in (trajectory.state, trajectory.next_state))
        return empty, state.critic_memory, value, next_value

    # the whole network along the batch at once: only its memory goes from step to step
    value, after = critic.remember(params, trajectory.state, state.critic_memory, trajectory.first)
    before = jnp.concatenate([state.critic_memory[None], after[:-1]])
    # the successor's value: one step more from the memory after this one, before any reset
    return before, after[-1], value[..., 0], once(trajectory.next_state, after)
