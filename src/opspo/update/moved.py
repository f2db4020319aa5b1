"""How far the agents have moved since the data were collected."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct

from opspo.estimators import action_ratios
from opspo.policies.networks import Networks
from opspo.rollout.chunks import chunk_starts, from_chunks, to_chunks
from opspo.types import Array, Batch, Params, Trajectory
from opspo.update.algorithm import ActionRatio


@struct.dataclass
class Moved:
    """How far each agent has moved since collection: log-ratios [T, E, N], 0 for the dead."""

    log_ratio: Array
    """As used in the objective (`Algorithm.action_ratio`)"""
    density_log_ratio: Array
    """For the whole action, which is what determines the states"""


def not_moved(batch: Batch) -> Moved:
    """The state in which no agent has moved since collection."""
    nothing = jnp.zeros_like(batch.trajectory.alive, batch.value.dtype)
    return Moved(nothing, nothing)


def measure(
    networks: Networks,
    action_ratio: ActionRatio,
    params: Params,
    trajectory: Trajectory,
    before: Moved,
    agents: Array,
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
    """
    team, chunk_length = networks.team, networks.chunk_length
    moved = jnp.arange(team.num_members) if team.shared else agents
    num_envs = trajectory.reward.shape[1]

    def chunks(x: Array) -> Array:
        return to_chunks(x[:, :, moved], chunk_length)

    available = trajectory.available_actions
    log_prob = team.log_prob(
        team.select(params, moved),
        chunks(trajectory.observation),
        chunk_starts(trajectory.memory, chunk_length)[:, moved],
        to_chunks(trajectory.first, chunk_length),
        chunks(trajectory.action),
        None if available is None else chunks(available),
    )
    old, own = chunks(trajectory.log_prob), team.own_dimensions(moved)
    if own is not None:
        own = jnp.broadcast_to(own, old.shape)

    def put(before: Array, change: Array) -> Array:
        living = jnp.where(trajectory.alive[..., moved], from_chunks(change, num_envs), 0.0)
        return before.at[..., moved].set(living)

    return Moved(
        put(before.log_ratio, action_ratio(log_prob, old, own)),
        put(before.density_log_ratio, action_ratios.product(log_prob, old, own)),
    )
