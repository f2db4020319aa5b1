"""What every side is given: one set of numbers and one batch, made with NumPy alone.

The peers run in an environment of their own, so nothing here needs this library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LOG_STD = -0.5
"""Of continuous actions, at the start of each side's policies"""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One task, as it is handed to each side."""

    num_envs: int
    num_steps: int
    num_agents: int
    observation_size: int
    state_size: int
    num_actions: int
    """discrete ones; 0 where actions are continuous"""
    action_size: int
    """dimensions of a continuous action; 0 where actions are discrete"""
    hidden_sizes: tuple[int, ...]
    recurrent: bool
    chunk_length: int
    epochs: int
    critic_apart: bool
    """the critic is trained after all agents, in place of a step with each of theirs"""
    critic_epochs: int
    """its passes in a whole update, if so"""
    extra_critic_passes: int
    """of the critic alone, before each epoch"""
    learning_rate: float
    gamma: float
    gae_lambda: float
    clip: float
    others_clip: float
    entropy_coefficient: float


@dataclass(frozen=True)
class Batch:
    """One iteration's experience, in which no episode ends: T steps and the instant after them."""

    observation: np.ndarray
    """[T + 1, E, N, d]"""
    state: np.ndarray
    """[T + 1, E, s]"""
    available_actions: np.ndarray | None
    """[T + 1, E, N, A] bool; None with continuous actions"""
    action: np.ndarray
    """[T, E, N, 1] whole numbers, or [T, E, N, D]; float32"""
    log_prob: np.ndarray
    """[T, E, N, 1 or D], about what fresh policies give, so that ratios start near 1"""
    reward: np.ndarray
    """[T, E]"""
    value: np.ndarray
    """[T, E] what the critic said, which the peers note in collecting"""


def make_batch(settings: Settings) -> Batch:
    """Noise of the right shapes: the time of an update does not depend on what is in it."""
    rng = np.random.default_rng(0)
    steps, envs, agents = settings.num_steps, settings.num_envs, settings.num_agents
    team = (steps + 1, envs, agents)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    available = None
    if settings.num_actions:
        available = rng.random((*team, settings.num_actions)) < 0.8
        available[..., 0] = True
        order = rng.random((steps, envs, agents, settings.num_actions), np.float32)
        action = np.where(available[:-1], order, -1).argmax(-1)[..., None].astype(np.float32)
        log_prob = -np.log(available[:-1].sum(-1, keepdims=True))
    else:
        noise = normal(steps, envs, agents, settings.action_size)
        action = noise * np.float32(np.exp(LOG_STD))
        log_prob = -0.5 * noise**2 - LOG_STD - 0.5 * np.log(2 * np.pi)
    return Batch(
        observation=normal(*team, settings.observation_size),
        state=normal(steps + 1, envs, settings.state_size),
        available_actions=available,
        action=action,
        log_prob=log_prob.astype(np.float32),
        reward=normal(steps, envs),
        value=np.float32(0.1) * normal(steps, envs),
    )
