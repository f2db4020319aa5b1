"""What learns for a group of agents, taken out of what learns for all, and put back."""

from __future__ import annotations

from opspo.policies.team import Critic, Team
from opspo.types import Array
from opspo.update.step import Learners


def select(team: Team, critic: Critic, learners: Learners, agents: Array) -> Learners:
    """The learners of a group of agents [K]; all of them where parameters are shared."""
    members = critic.members(agents)
    return Learners(
        team.select(learners.actor, agents),
        team.select(learners.actor_optimiser, agents),
        critic.select(learners.critic, members),
        critic.select(learners.critic_optimiser, members),
        learners.value_statistics,
    )


def replace(
    team: Team, critic: Critic, learners: Learners, agents: Array, group: Learners
) -> Learners:
    """`learners` with those of a group of agents [K] replaced."""
    members = critic.members(agents)
    return Learners(
        team.replace(learners.actor, agents, group.actor),
        team.replace(learners.actor_optimiser, agents, group.actor_optimiser),
        critic.replace(learners.critic, members, group.critic),
        critic.replace(learners.critic_optimiser, members, group.critic_optimiser),
        group.value_statistics,
    )
