"""Ours: `Learner.learn`, compiled, on the batch that the peers are given."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from peers.batch import Settings, make_batch

from opspo.environments.base import EnvironmentSpec, HostBatch
from opspo.presets import preset_config
from opspo.rollout import host
from opspo.training.assembly import make_learner
from opspo.training.learner import Learner
from opspo.types import TrainState, Trajectory

SPECS = {
    "mamujoco/HalfCheetah-6x1": EnvironmentSpec(
        "HalfCheetah-6x1", num_agents=6, observation_size=23, state_size=17, action_size=1
    ),
    "football/5_vs_5": EnvironmentSpec(
        "5_vs_5", num_agents=4, observation_size=114, state_size=82, num_actions=19
    ),
}
"""The sizes alone, so that no engine is needed"""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """An environment that is never started."""

    spec: EnvironmentSpec

    def open(self, num_envs: int, seed: int) -> HostBatch:
        """Not meant to be played."""
        raise NotImplementedError


def paper_settings(
    env: str, algo: str, *, num_envs: int, recurrent: bool, two_stage: bool
) -> Settings:
    """The paper's numbers for a task and an algorithm, for the peers.

    Args:
        env: one of `SPECS`.
        algo: whose epochs and ranges.
        num_envs: 0 for the paper's.
        recurrent: with the GRU.
        two_stage: a pass of the critic alone before each epoch, as in A2PO's scripts.
    """
    config, spec = preset_config("paper", env, algo), SPECS[env]
    return Settings(
        num_envs=num_envs or config.rollout.num_envs,
        num_steps=config.rollout.num_steps,
        num_agents=spec.num_agents,
        observation_size=spec.observation_size,
        state_size=spec.state_size,
        num_actions=spec.num_actions,
        action_size=spec.action_size,
        hidden_sizes=config.policy.hidden_sizes,
        recurrent=recurrent,
        chunk_length=config.policy.chunk_length,
        epochs=config.algorithm.epochs,
        critic_apart=False,
        critic_epochs=config.algorithm.epochs,
        extra_critic_passes=int(two_stage),
        learning_rate=config.optimiser.actor_learning_rate,
        gamma=config.algorithm.gamma,
        gae_lambda=config.algorithm.gae_lambda,
        clip=config.algorithm.clip,
        others_clip=config.algorithm.others_clip,
        entropy_coefficient=config.algorithm.entropy_coefficient,
    )


def make_update(env: str, algo: str, settings: Settings, devices: int) -> Callable[[], Any]:
    """One update of an algorithm, compiled by its first call; each starts from the same state."""
    import jax

    from opspo.devices import claim, compiler_options, layout

    claim(devices)
    learner, where = learner_of(env, algo, settings), layout(devices)
    state = jax.device_put(jax.jit(learner.init, static_argnums=0)(0), where.state)
    trajectory = jax.device_put(trajectory_of(learner, state, settings), where.trajectory)
    learn = jax.jit(learner.divided(where.mesh).learn, compiler_options=compiler_options())
    return lambda: jax.block_until_ready(learn(state, trajectory, state.key))


def learner_of(env: str, algo: str, settings: Settings) -> Learner:
    """The paper's preset with the passes, the batch and the networks of the other side."""
    config = preset_config("paper", env, algo)
    config = dataclasses.replace(
        config,
        rollout=dataclasses.replace(config.rollout, num_envs=settings.num_envs),
        policy=dataclasses.replace(config.policy, recurrent=settings.recurrent),
        algorithm=dataclasses.replace(
            config.algorithm,
            epochs=settings.epochs,
            extra_critic_passes=settings.extra_critic_passes,
            critic_epochs=settings.critic_epochs if settings.critic_apart else 0,
        ),
    )
    return make_learner(config, Sizes(SPECS[env]))


def trajectory_of(learner: Learner, state: TrainState, settings: Settings) -> Trajectory:
    """The batch as ours takes it; of the state only the shapes are looked at."""
    import jax

    def blank_of(state: TrainState) -> Trajectory:
        return host.blank_trajectory(
            learner.team,
            state.actor,
            state.rollout,
            num_steps=settings.num_steps,
            view=learner.critic.view,
        )

    blank: Any = jax.eval_shape(blank_of, state)
    batch = make_batch(settings)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), blank)
    first = zeros.first
    first[0] = True
    available, action = batch.available_actions, batch.action
    found: Trajectory = zeros.replace(
        observation=batch.observation[:-1],
        state=batch.state[:-1, :, None],
        next_state=batch.state[1:, :, None],
        available_actions=None if available is None else available[:-1],
        action=action if settings.action_size else action[..., 0].astype(zeros.action.dtype),
        log_prob=batch.log_prob,
        alive=np.ones_like(zeros.alive),
        first=first,
        reward=batch.reward,
    )
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), (found, blank))
    assert shapes[0] == shapes[1]
    return found
