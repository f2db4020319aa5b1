"""Google Research Football: the paper's settings (Table 4), adapted to the academy scenarios.

The paper plays 24 matches of 3,000 steps side by side; an academy scenario lasts about a hundred
steps. Further changes: no GRU, 10 epochs instead of 15, an entropy bonus of 0.01 instead of 0.001,
and step-wise state weights in place of the minimax. None of these values was tuned.
"""

from __future__ import annotations

import dataclasses

from opspo.config import TrainConfig


def adapt(config: TrainConfig) -> TrainConfig:
    """`config` with the settings for football."""
    return dataclasses.replace(
        config,
        rollout=dataclasses.replace(config.rollout, num_envs=8, num_steps=400),
        policy=dataclasses.replace(
            config.policy,
            share_parameters=False,
            hidden_sizes=(128, 128),
            running_normalisation=False,
        ),
        optimiser=dataclasses.replace(
            config.optimiser, actor_learning_rate=5e-4, critic_learning_rate=5e-4
        ),
        algorithm=dataclasses.replace(
            config.algorithm, epochs=10, gamma=0.995, gae_lambda=0.95, entropy_coefficient=0.01
        ),
    )
