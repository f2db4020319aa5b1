"""A2PO's public code: the update of its runner, from the repository named on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers.batch import LOG_STD, Settings, make_batch
from peers.harl import spaces_of

FLAGS = """
--adv gae_trace --use_gae_trace True --use_sequential True --loop_order agent
--agent_loop_first True --seq_strategy semi_greedy --clip_param_tuner True --clip_others True
--use_agent_block False --share_policy False --use_cum_sequence False
--use_proper_time_limits True --use_recurrent_policy {recurrent} --use_two_stage {two_stage}
"""
"""Those of its scripts for robots and football, without the logging"""


def make_update(clone: Path, settings: Settings) -> Callable[[], Any]:
    """Returns, then all agents in turn, each with its traces: what its loop does once the batch is
    there."""
    sys.path.insert(0, str(clone))
    from onpolicy.runner.base_runner import Runner

    runner: Any = object.__new__(Runner)  # without environments, folders and loggers
    runner.n_rollout_threads = settings.num_envs
    runner.use_sequential = True
    runner.trainer, runner.buffer = _parts(settings)

    def update() -> Any:
        runner.compute()
        return runner.train(episode=0)

    return update


def _parts(settings: Settings) -> tuple[Any, Any]:
    """The trainer with its policies, and the full buffer."""
    from onpolicy.algorithms.r_mappo.algorithm.rMultiMAPPOPolicy import R_Multi_MAPPOPolicy
    from onpolicy.algorithms.r_mappo.r_mappo import R_MAPPO
    from onpolicy.utils.shared_buffer import SharedReplayBuffer

    arguments = _arguments(settings)
    observation, state, action = spaces_of(settings)
    policy = R_Multi_MAPPOPolicy(arguments, observation, state, action)
    trainer = R_MAPPO(arguments, policy)
    buffer = SharedReplayBuffer(arguments, settings.num_agents, observation, state, action)
    batch = make_batch(settings)
    buffer.obs[:] = batch.observation
    buffer.share_obs[:] = batch.state[:, :, None]
    buffer.actions[:] = batch.action
    buffer.action_log_probs[:] = batch.log_prob
    buffer.rewards[:] = batch.reward[..., None, None]
    buffer.value_preds[:-1] = batch.value[..., None, None]
    if batch.available_actions is not None:
        buffer.available_actions[:] = batch.available_actions
    return trainer, buffer


def _arguments(settings: Settings) -> Any:
    """What its command line gives, with the task's numbers and the networks of the other sides."""
    from onpolicy.config import get_config

    flags = FLAGS.format(recurrent=settings.recurrent, two_stage=settings.extra_critic_passes == 1)
    arguments = get_config().parse_args(flags.split())
    width, *others = settings.hidden_sizes
    assert set(others) <= {width}, "its layers are all of one width"
    vars(arguments).update(
        num_agents=settings.num_agents,
        block_num=settings.num_agents,
        n_episode=1,
        n_rollout_threads=settings.num_envs,
        episode_length=settings.num_steps,
        hidden_size=width,
        layer_N=len(others),
        layer_after_N=0,
        mu_tanh=True,
        log_std_init=LOG_STD,
        data_chunk_length=settings.chunk_length,
        ppo_epoch=settings.epochs,
        lr=settings.learning_rate,
        critic_lr=settings.learning_rate,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_param=settings.clip,
        others_clip_param=settings.others_clip,
        entropy_coef=settings.entropy_coefficient,
    )
    return arguments
