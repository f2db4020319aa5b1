"""Small configurations that learn in seconds, and the loop that trains them."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import Any

import jax

from opspo.algorithms import ALGORITHMS
from opspo.config import (
    CheckpointConfig,
    EvaluationConfig,
    OptimiserConfig,
    PolicyConfig,
    RolloutConfig,
    TrainConfig,
)
from opspo.environments import make_env
from opspo.training.assembly import make_learner
from opspo.training.learner import Learner
from opspo.types import TrainState, Trajectory


def small_config(
    env: str,
    algo: str = "opspo",
    *,
    shared: bool = True,
    recurrent: bool = False,
    seed: int = 0,
    devices: int = 1,
    **algorithm: Any,
) -> TrainConfig:
    """16 environments × 16 steps, one hidden layer of 32, a large step size."""
    return TrainConfig(
        env=env,
        algo=algo,
        seed=seed,
        devices=devices,
        total_steps=2048,
        tensorboard=False,
        rollout=RolloutConfig(num_envs=16, num_steps=16),
        policy=PolicyConfig(
            share_parameters=shared,
            hidden_sizes=(32,),
            recurrent=recurrent,
            chunk_length=8,
            agent_id=False,  # the probes tell agents apart where they must
        ),
        optimiser=OptimiserConfig(actor_learning_rate=3e-3, critic_learning_rate=3e-3),
        algorithm=ALGORITHMS[algo](**{"epochs": 5} | algorithm),
        evaluation=EvaluationConfig(every_steps=0, episodes=8, final_episodes=16),
        checkpoint=CheckpointConfig(every_steps=1024),
    )


def alike(config: TrainConfig) -> TrainConfig:
    """What begins and plays as this does, for all algorithms without state weights that learn.

    They differ in the update only, so that tests need the programs before it once for all.
    """
    algo = "ippo" if config.algorithm.critic == "local" else "mappo"
    return dataclasses.replace(config, algo=algo, algorithm=ALGORITHMS[algo](), seed=0)


@lru_cache(maxsize=64)
def learner_of(config: TrainConfig) -> tuple[Learner, Any]:
    """The learner and its compiled iteration, which does not depend on the seed."""
    learner = make_learner(config, make_env(config.env))
    return learner, jax.jit(learner.iterate)


def run(
    config: TrainConfig, iterations: int, state: TrainState | None = None
) -> tuple[TrainState, list[dict[str, Any]]]:
    """Train for some iterations and return the state and each iteration's metrics."""
    learner, iterate = learner_of(dataclasses.replace(config, seed=0))
    if state is None:
        state = jax.jit(learner.init, static_argnums=0)(config.seed)
    history = []
    for _ in range(iterations):
        state, metrics = iterate(state)
        history.append(jax.device_get(metrics))
        assert not any(history[-1]["faults"].values()), history[-1]["faults"]
    return state, history


def collect(learner: Learner, state: TrainState) -> Trajectory:
    """One batch of experience."""
    return learner.collect(state, jax.random.PRNGKey(1))[1]


def learn(learner: Learner, state: TrainState, trajectory: Trajectory) -> TrainState:
    """The state after the update on a given batch."""
    return learner.learn(state, trajectory, jax.random.PRNGKey(2))[0]
