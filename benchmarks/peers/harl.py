"""HARL's HAPPO: the update of its runner, from the repository named on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peers.batch import LOG_STD, Batch, Settings, make_batch

AGGREGATION = "prod"
SIGMOID_OF_ONE = 1 / (1 + np.exp(-1.0))


def make_update(clone: Path, settings: Settings) -> Callable[[], Any]:
    """Returns, advantages, all agents in turn, and the critic: what HARL's loop does once the batch
    is there."""
    sys.path.insert(0, str(clone))
    runner = _runner(clone, settings)
    _fill(runner, make_batch(settings))

    def update() -> Any:
        runner.compute()
        runner.prep_training()
        return runner.train()

    return update


def _runner(clone: Path, settings: Settings) -> Any:
    """HARL's runner without environments, folders and loggers."""
    import torch
    from harl.algorithms.actors.happo import HAPPO
    from harl.algorithms.critics.v_critic import VCritic
    from harl.common.buffers.on_policy_actor_buffer import OnPolicyActorBuffer
    from harl.common.buffers.on_policy_critic_buffer_ep import OnPolicyCriticBufferEP
    from harl.common.valuenorm import ValueNorm
    from harl.runners.on_policy_ha_runner import OnPolicyHARunner

    parts = _arguments(clone, settings)
    flat = parts["train"] | parts["model"] | parts["algo"]
    observation, state, action = spaces_of(settings)
    agents = range(settings.num_agents)
    runner: Any = object.__new__(OnPolicyHARunner)
    runner.algo_args = parts
    runner.num_agents = settings.num_agents
    runner.state_type = "EP"
    runner.fixed_order = False
    runner.share_param = False
    runner.action_aggregation = AGGREGATION
    runner.device = torch.device("cpu")
    runner.actor = [HAPPO(flat, observation, action) for _ in agents]
    runner.critic = VCritic(flat, state)
    runner.actor_buffer = [OnPolicyActorBuffer(flat, observation, action) for _ in agents]
    runner.critic_buffer = OnPolicyCriticBufferEP(flat, state)
    runner.value_normalizer = ValueNorm(1)
    return runner


def _arguments(clone: Path, settings: Settings) -> dict[str, dict[str, Any]]:
    """HARL's own settings for HAPPO, with the task's numbers."""
    import yaml

    parts = yaml.safe_load((clone / "harl/configs/algos_cfgs/happo.yaml").read_text())
    parts["train"] |= {
        "n_rollout_threads": settings.num_envs,
        "episode_length": settings.num_steps,
    }
    parts["model"] |= {
        "hidden_sizes": list(settings.hidden_sizes),
        "use_recurrent_policy": settings.recurrent,
        "data_chunk_length": settings.chunk_length,
        "lr": settings.learning_rate,
        "critic_lr": settings.learning_rate,
        "std_y_coef": float(np.exp(LOG_STD) / SIGMOID_OF_ONE),
    }
    parts["algo"] |= {
        "ppo_epoch": settings.epochs,
        "critic_epoch": settings.critic_epochs,
        "clip_param": settings.clip,
        "entropy_coef": settings.entropy_coefficient,
        "gamma": settings.gamma,
        "gae_lambda": settings.gae_lambda,
        "action_aggregation": AGGREGATION,
    }
    found: dict[str, dict[str, Any]] = parts
    return found


def spaces_of(settings: Settings) -> tuple[Any, Any, Any]:
    """Of an observation, the state and an action; the peers ask for the names of the classes."""
    from gym import spaces

    observation, state = (
        spaces.Box(-np.inf, np.inf, (size,), np.float32)
        for size in (settings.observation_size, settings.state_size)
    )
    if settings.num_actions:
        return observation, state, spaces.Discrete(settings.num_actions)
    return observation, state, spaces.Box(-1, 1, (settings.action_size,), np.float32)


def _fill(runner: Any, batch: Batch) -> None:
    for i, buffer in enumerate(runner.actor_buffer):
        buffer.obs[:] = batch.observation[:, :, i]
        buffer.actions[:] = batch.action[:, :, i]
        buffer.action_log_probs[:] = batch.log_prob[:, :, i]
        if batch.available_actions is not None:
            buffer.available_actions[:] = batch.available_actions[:, :, i]
    runner.critic_buffer.share_obs[:] = batch.state
    runner.critic_buffer.rewards[:] = batch.reward[..., None]
    runner.critic_buffer.value_preds[:-1] = batch.value[..., None]
