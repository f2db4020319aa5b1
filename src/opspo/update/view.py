"""A stage's view of the batch: the data from the point of view of a group of agents."""

from __future__ import annotations

from typing import Any

from opspo.objectives.agent_clips import nearness
from opspo.policies.networks import Networks
from opspo.types import ActionValues, Array, Batch, Moved, StageData
from opspo.update.algorithm import Algorithm

KINDS = ("log_ratio", "density_log_ratio")
"""Of `Moved`"""


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
    if batch.action_values is not None and moved.mean_action is not None:
        action_values = seen_by(batch.action_values, moved.mean_action, agents)

    return StageData(
        reward=trajectory.reward[..., None],
        value=batch.value[..., members],
        next_value=batch.next_value[..., members],
        done=trajectory.done[..., None],
        first=trajectory.first[..., None],
        **log_ratios(batch, moved, agents, rank, algorithm),
        position=(rank[agents] + 1) / networks.team.num_members,
        nearness=nearness(round_began)[agents],
        alive=trajectory.alive[..., agents],
        stage=stage,
        features=None if features is None else features[:, :, members],
        **action_values,
    )


def log_ratios(
    batch: Batch, moved: Moved, agents: Array, rank: Array, algorithm: Algorithm
) -> dict[str, Any]:
    """The ratios that count for a group of agents [K]: those of `StageData`, [T, E, K] each.

    They are the moves of this update, as the algorithm's scopes count them, after all that moved
    before it, if the batch is one that is used again. The agent's own ratio is part of what shifts
    traces and states, but not of the weights, since the objective itself has it.
    """
    began = batch.began
    since = moved
    if began is not None:
        since = Moved(*(getattr(moved, x) - getattr(began, x) for x in KINDS))

    def counted(scope: str, kind: str, *, own: bool) -> Array:
        found = algorithm.counted(scope, getattr(since, kind), agents, rank)
        if began is None:
            return found
        before = getattr(began, kind)
        found = found + before.sum(-1, keepdims=True)
        return found if own else found - before[..., agents]

    return {
        "log_ratio": counted("weight_agents", "log_ratio", own=False),
        "trace_log_ratio": counted("trace_agents", "density_log_ratio", own=True),
        "density_log_ratio": counted("weight_agents", "density_log_ratio", own=True),
        "own_began": None if began is None else began.log_ratio[..., agents],
    }


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
