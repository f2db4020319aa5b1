"""How far the agents have moved since the data were collected."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.estimators import action_ratios
from opspo.policies.networks import Networks
from opspo.rollout.chunks import chunk_starts, from_chunks, to_chunks
from opspo.types import ActionValues, Array, Batch, Moved, Params, Trajectory
from opspo.update.algorithm import ActionRatio


def not_moved(batch: Batch) -> Moved:
    """The state in which no agent has moved since collection; or, for batches that are used again,
    since this update began."""
    values, began = batch.action_values, batch.began or still(batch.trajectory)
    mean_action = None if values is None else jnp.zeros_like(values.action)
    return Moved(began.log_ratio, began.density_log_ratio, mean_action)


def still(trajectory: Trajectory) -> Moved:
    """Log-ratios of 0: no agent has moved since the data were collected."""
    nothing = jnp.zeros_like(trajectory.alive, trajectory.log_prob.dtype)
    return Moved(nothing, nothing)


def measure(
    networks: Networks,
    action_ratio: ActionRatio,
    params: Params,
    trajectory: Trajectory,
    before: Moved,
    agents: Array,
    values: ActionValues | None = None,
) -> Moved:
    """How far all agents have moved after gradient steps of a group of agents.

    With separate parameters, only the group's agents are measured again.

    Args:
        networks: the actors and the critic.
        action_ratio: the ratio of an action, as used in the objective.
        params: of all actors, after the steps.
        trajectory: the data.
        before: how far the agents had moved before the steps.
        agents: [K] int, the group.
        values: the batch's, if `before` has mean actions.
    """
    team, chunk_length = networks.team, networks.chunk_length
    moved = jnp.arange(team.num_members) if team.shared else agents
    num_envs = trajectory.reward.shape[1]

    def chunks(x: Array) -> Array:
        return to_chunks(x[:, :, moved], chunk_length)

    output = outputs(networks, team.select(params, moved), trajectory, moved)
    available = trajectory.available_actions
    available = None if available is None else chunks(available)
    log_prob = team.distribution.log_prob(output, chunks(trajectory.action), available)
    old, own = chunks(trajectory.log_prob), team.own_dimensions(moved)
    if own is not None:
        own = jnp.broadcast_to(own, old.shape)

    def put(before: Array, change: Array) -> Array:
        living = jnp.where(trajectory.alive[..., moved], from_chunks(change, num_envs), 0.0)
        return before.at[..., moved].set(living)

    mean_action = before.mean_action
    if values is not None and mean_action is not None:
        mean = team.distribution.centred_mean(chunks(values.output), output, available)
        mean_action = mean_action.at[:, :, moved].set(from_chunks(mean, num_envs))
    return Moved(
        put(before.log_ratio, action_ratio(log_prob, old, own)),
        put(before.density_log_ratio, action_ratios.product(log_prob, old, own)),
        mean_action,
    )


def outputs(networks: Networks, params: Params, trajectory: Trajectory, agents: Array) -> Array:
    """The outputs [L, C, K, o] of a group's actors along a trajectory, in chunks.

    Args:
        networks: the actors and the critic.
        params: of the group.
        trajectory: the data.
        agents: [K] int, the group.
    """
    length = networks.chunk_length
    output, _ = networks.team.unroll(
        params,
        to_chunks(trajectory.observation[:, :, agents], length),
        chunk_starts(trajectory.memory, length)[:, agents],
        to_chunks(trajectory.first, length),
    )
    return output
