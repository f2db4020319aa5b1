"""The settings of JaxMARL 0.2.0's MAPPO-RNN on SMAX, to compare with it side by side.

Some differences remain: one central critic sees each state once (JaxMARL's sees it once per agent,
with the agent's number), time limits are bootstrapped, dead agents do not count, the value loss is
the error of normalised targets, and a layer after the GRU starts with the gain of a ReLU (√2;
JaxMARL has 2).
"""

from __future__ import annotations

import dataclasses

from opspo.config import OptimiserConfig, PolicyConfig, RolloutConfig, TrainConfig
from opspo.errors import ConfigError


def jaxmarl(config: TrainConfig) -> TrainConfig:
    """`config` with JaxMARL's networks, batch and numbers."""
    if not config.env.startswith("smax/"):
        raise ConfigError(
            f"preset: 'jaxmarl' is for SMAX, but env is '{config.env}'. Take --env smax/3m, or "
            "another preset."
        )
    return dataclasses.replace(
        config,
        rollout=RolloutConfig(num_envs=128, num_steps=128),
        policy=PolicyConfig(
            hidden_sizes=(128,),
            output_sizes=(128,),
            layer_norm=False,
            running_normalisation=False,
            agent_id=False,
            recurrent=True,
            chunk_length=128,
        ),
        optimiser=OptimiserConfig(
            actor_learning_rate=2e-3, critic_learning_rate=2e-3, anneal=True, max_grad_norm=0.25
        ),
        algorithm=dataclasses.replace(
            config.algorithm,
            epochs=4,
            minibatches=4,
            gamma=0.99,
            gae_lambda=0.95,
            entropy_coefficient=0.0,
        ),
    )
