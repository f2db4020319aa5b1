"""As many gradient steps for those who update all agents at once as for those in turn.

At the same number of epochs, those in turn take more: with shared parameters a step of the actor
and of the critic for every block of agents, with separate ones a step of the critic for every
agent. A comparison of what the algorithms correct should not be one of how often they step.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from opspo.algorithms import HAPPOConfig, SequentialConfig
from opspo.config import TrainConfig


def equal_steps(
    config: TrainConfig, num_agents: int, like: SequentialConfig | None = None
) -> TrainConfig:
    """`config` with the gradient steps that an algorithm in turn takes in its epochs.

    - Shared parameters, all at once: as many epochs as there are blocks in all the rounds over
      them.
    - Separate parameters: the actors' epochs stay, each agent has its own in either case; extra
      passes bring every critic to as many steps as one central critic takes in turn, one for each
      agent in each epoch.

    What takes as many already comes back as it is, and further extra passes (A2PO's two-stage
    critic) stay on top for the algorithm that has them.

    Args:
        config: of any algorithm.
        num_agents: of its environment.
        like: whose blocks count, for an algorithm without any; by default HAPPO's defaults.
    """
    algorithm, shared = config.algorithm, config.policy.share_parameters
    like = algorithm if isinstance(algorithm, SequentialConfig) else like or HAPPOConfig()
    rounds = dataclasses.replace(like, epochs=algorithm.epochs).rounds(num_agents)
    steps = rounds * min(like.blocks, num_agents) if shared else num_agents * algorithm.epochs
    changes: dict[str, Any] = {}
    if algorithm.critic_epochs:
        changes["critic_epochs"] = steps
    if shared and not algorithm.sequential:
        changes["epochs"] = steps
    # in turn, one central critic takes a step with every agent's
    one_each = not shared and not (algorithm.sequential and algorithm.critic == "central")
    if one_each and not algorithm.critic_epochs:
        changes["extra_critic_passes"] = num_agents * (1 + algorithm.extra_critic_passes) - 1
    return dataclasses.replace(config, algorithm=dataclasses.replace(algorithm, **changes))
