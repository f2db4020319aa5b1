"""MA-MuJoCo: the paper's settings (Table 3), without the GRU and on more environments at once."""

from __future__ import annotations

import dataclasses

from opspo.config import OptimiserConfig, PolicyConfig, TrainConfig


def adapt(config: TrainConfig) -> TrainConfig:
    """`config` with the settings for MA-MuJoCo."""
    return dataclasses.replace(
        config,
        policy=PolicyConfig(share_parameters=False),
        optimiser=OptimiserConfig(actor_learning_rate=3e-4, critic_learning_rate=3e-4),
        algorithm=dataclasses.replace(
            config.algorithm, epochs=5, gae_lambda=0.93, entropy_coefficient=0.0
        ),
    )
