"""A stage's view of the batch: the data from the point of view of a group of agents."""

from __future__ import annotations

from opspo.objectives.agent_clips import nearness
from opspo.policies.networks import Networks
from opspo.types import Array, Batch, StageData
from opspo.update.algorithm import Algorithm
from opspo.update.moved import Moved


def view(
    batch: Batch,
    moved: Moved,
    agents: Array,
    rank: Array,
    *,
    stage: Array,
    round_began: Array,
    networks: Networks,
    algorithm: Algorithm,
) -> StageData:
    """What an algorithm may use to correct the batch for a group of agents.

    Args:
        batch: one iteration's experience.
        moved: how far each agent has moved when the stage begins.
        agents: [K] int, the group.
        rank: [N] int, each agent's position in the order.
        stage: [] int, the number of the update's stage, from 0.
        round_began: [T, E, N] log-ratio of each agent when the round over the agents began.
        networks: the actors and the critic.
        algorithm: decides whose ratios count.
    """
    trajectory, members = batch.trajectory, networks.critic.members(agents)
    features = batch.features

    def counted(scope: str, log_ratios: Array) -> Array:
        return algorithm.counted(scope, log_ratios, agents, rank)

    return StageData(
        reward=trajectory.reward[..., None],
        value=batch.value[..., members],
        next_value=batch.next_value[..., members],
        done=trajectory.done[..., None],
        first=trajectory.first[..., None],
        log_ratio=counted("weight_agents", moved.log_ratio),
        trace_log_ratio=counted("trace_agents", moved.density_log_ratio),
        density_log_ratio=counted("weight_agents", moved.density_log_ratio),
        position=(rank[agents] + 1) / networks.team.num_members,
        nearness=nearness(round_began)[agents],
        alive=trajectory.alive[..., agents],
        stage=stage,
        features=None if features is None else features[:, :, members],
    )
