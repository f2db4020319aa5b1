"""MA-MuJoCo: the paper's settings (Table 3), moved to what learns fastest within a million steps.

Tried out on `HalfCheetah-6x1` and `Hopper-3x1`, one or two seeds each: no GRU, 32 environments at
once, inputs scaled by running statistics, ten epochs, and a step size of 1e-3 that falls to 0.
"""

from __future__ import annotations

import dataclasses

from opspo.config import OptimiserConfig, PolicyConfig, TrainConfig


def adapt(config: TrainConfig) -> TrainConfig:
    """`config` with the settings for MA-MuJoCo."""
    return dataclasses.replace(
        config,
        policy=PolicyConfig(share_parameters=False, running_normalisation=True),
        optimiser=OptimiserConfig(actor_learning_rate=1e-3, critic_learning_rate=1e-3, anneal=True),
        algorithm=dataclasses.replace(
            config.algorithm, epochs=10, gae_lambda=0.93, entropy_coefficient=0.0
        ),
    )
