"""As many gradient steps for simultaneous algorithms as for sequential ones.

At the same number of epochs a sequential algorithm takes more steps: with shared parameters a step
of the actor and of the critic for every block of agents, with separate ones a step of the critic
for every agent. A comparison of what algorithms correct should not be one of how often they step.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from opspo.algorithms import HAPPOConfig, SequentialConfig
from opspo.config import TrainConfig


def equal_steps(
    config: TrainConfig, num_agents: int, like: SequentialConfig | None = None
) -> TrainConfig:
    """`config` with the gradient steps that a sequential algorithm takes in its epochs.

    - Shared parameters, simultaneous: as many epochs as there are blocks in all the rounds.
    - Separate parameters: the actors' epochs stay, since each agent has its own in either case.
      Extra passes give every critic as many steps as one central critic takes in a sequential
      algorithm, which is one for each agent in each epoch.

    A config that takes as many already is returned unchanged. The extra passes of A2PO's two-stage
    critic are kept, in addition.

    Args:
        config: of any algorithm.
        num_agents: of its environment.
        like: whose blocks count, where the algorithm has none; by default HAPPO's defaults.
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
    # one central critic of a sequential algorithm takes a step with every agent's
    one_each = not shared and not (algorithm.sequential and algorithm.critic == "central")
    if one_each and not algorithm.critic_epochs:
        changes["extra_critic_passes"] = num_agents * (1 + algorithm.extra_critic_passes) - 1
    return dataclasses.replace(config, algorithm=dataclasses.replace(algorithm, **changes))
