"""Evaluating the critic along a batch."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.policies.team import Critic
from opspo.rollout.chunks import chunk_starts, from_chunks, to_chunks
from opspo.types import Array, Batch, Params, Trajectory


def revalued(critic: Critic, params: Params, unit: tuple[Array, Array], batch: Batch) -> Batch:
    """The batch with its values recomputed under other parameters of the critic.

    The inputs to the gradient steps stay the same: the memories at the start of each chunk, and the
    output around which the critic's change is clipped.

    Args:
        critic: the network.
        params: its parameters.
        unit: mean and standard deviation of the unit of its outputs.
        batch: the data.
    """
    chunks, envs = batch.critic_memory.shape[0], batch.trajectory.reward.shape[1]
    memory = batch.critic_memory[:: chunks // envs]  # at each environment's first chunk
    *_, raw, raw_next = values_along(critic, params, memory, batch.trajectory)
    value, next_value = in_reward_unit(raw, raw_next, batch.trajectory.terminated, unit)
    return batch.replace(value=value, next_value=next_value)  # type: ignore[attr-defined]


def in_reward_unit(
    raw: Array, raw_next: Array, terminated: Array, unit: tuple[Array, Array]
) -> tuple[Array, Array]:
    """V(s_t) and V(s_{t+1}), the latter 0 after a termination, from the critic's outputs.

    Args:
        raw, raw_next: [T, E, M] outputs for the states and their true successors.
        terminated: [T, E] bool.
        unit: mean and standard deviation of the outputs' unit.

    Returns:
        Two arrays [T, E, M], in the unit of the reward.
    """
    mean, deviation = unit
    following = jnp.where(terminated[..., None], 0.0, raw_next * deviation + mean)
    return raw * deviation + mean, following


def features_along(
    critic: Critic, params: Params, starts: Array, trajectory: Trajectory, *, chunk_length: int
) -> Array:
    """The critic's last hidden layer along the batch: [T, E, M, p].

    Args:
        critic: the network.
        params: its parameters.
        starts: [C, M, h] its recurrent state at the start of each chunk.
        trajectory: the data.
        chunk_length: steps of a chunk.
    """
    features = critic.features(
        params,
        to_chunks(trajectory.state, chunk_length),
        starts,
        to_chunks(trajectory.first, chunk_length),
    )
    return from_chunks(features, trajectory.reward.shape[1])


def values_along(
    critic: Critic, params: Params, memory: Array, trajectory: Trajectory
) -> tuple[Array, Array, Array, Array]:
    """Run the critic along the batch.

    Args:
        critic: the network.
        params: its parameters.
        memory: [E, M, h] its recurrent state before the first step.
        trajectory: the data.

    Returns:
        The recurrent state before each step [T, E, M, h] and after the last one [E, M, h]; and the
        raw outputs for the states and for their true successors, [T, E, M] each.
    """
    envs = trajectory.reward.shape[1]

    def once(state: Array, memory: Array) -> Array:
        """Values [T, E, M] of states [T, E, M, s], each step evaluated separately."""
        flat = to_chunks(state, 1)
        begin = jnp.zeros(flat.shape[:2], bool)
        return from_chunks(critic.values(params, flat, chunk_starts(memory, 1), begin), envs)

    if critic.memory_size == 0:
        empty = jnp.zeros((*trajectory.state.shape[:-1], 0))
        value, next_value = (once(x, empty) for x in (trajectory.state, trajectory.next_state))
        return empty, memory, value, next_value

    # only the recurrent state goes from step to step; the rest runs on the whole batch at once
    value, after = critic.remember(params, trajectory.state, memory, trajectory.first)
    before = jnp.concatenate([memory[None], after[:-1]])
    # the successor's value: one more step from the memory after this one, before any reset
    return before, after[-1], value[..., 0], once(trajectory.next_state, after)
