"""Everything that learns, for all agents or for the group under update."""

from __future__ import annotations

import optax
from flax import struct

from opspo.policies.networks import Networks
from opspo.types import Array, Params, ValueStatistics


@struct.dataclass
class Learners:
    """Parameters and optimiser states."""

    actor: Params
    actor_optimiser: optax.OptState
    critic: Params
    critic_optimiser: optax.OptState
    value_statistics: ValueStatistics
    """The unit in which the critic is trained, the same for all members"""


def select(networks: Networks, learners: Learners, agents: Array) -> Learners:
    """The learners of a group of agents [K]; all learners if parameters are shared."""
    team, critic = networks.team, networks.critic
    members = critic.members(agents)
    return Learners(
        team.select(learners.actor, agents),
        team.select(learners.actor_optimiser, agents),
        critic.select(learners.critic, members),
        critic.select(learners.critic_optimiser, members),
        learners.value_statistics,
    )


def replace(networks: Networks, learners: Learners, agents: Array, group: Learners) -> Learners:
    """`learners` with those of a group of agents [K] replaced."""
    team, critic = networks.team, networks.critic
    members = critic.members(agents)
    return Learners(
        team.replace(learners.actor, agents, group.actor),
        team.replace(learners.actor_optimiser, agents, group.actor_optimiser),
        critic.replace(learners.critic, members, group.critic),
        critic.replace(learners.critic_optimiser, members, group.critic_optimiser),
        group.value_statistics,
    )
