"""A stage's view of the batch: the data from the point of view of a group of agents."""

from __future__ import annotations

from opspo.objectives.agent_clips import nearness
from opspo.policies.networks import Networks
from opspo.types import ActionValues, Array, Batch, StageData
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
    features, action_values = batch.features, {}
    if batch.action_values is not None:
        action_values = seen_by(batch.action_values, moved.mean_action, agents)

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
        **action_values,
    )


def seen_by(values: ActionValues, mean_action: Array, agents: Array) -> dict[str, Array]:
    """The action values from the point of view of a group of agents [K].

    Args:
        values: of the batch.
        mean_action: [T, E, N, Z] the mean of the centred actions now.
        agents: [K] int, the group.

    Returns:
        `action_value` [T, E, 1], `own_action_value` and `value_shift` [T, E, K] of `StageData`.
    """
    taken = (values.slope * values.action).sum(-1)
    shift = (values.slope * mean_action).sum(-1)
    return {
        "action_value": taken.sum(-1, keepdims=True),
        "own_action_value": taken[..., agents],
        "value_shift": shift.sum(-1, keepdims=True) - shift[..., agents],
    }
