"""Settings that all algorithms share, part by part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from opspo.errors import require

LEAST_NORMALISED = 4
"""The smallest number of features over which a layer norm is allowed"""


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How much experience is collected before each update."""

    num_envs: int = 32
    """Number of environments stepped in parallel."""
    num_steps: int = 100
    """Steps of each environment per iteration."""
    groups: int = 1
    """Groups of environments, each stepped by its own thread, so that actions for one group are
    computed while others step. Only for engines outside of JAX."""

    def __post_init__(self) -> None:
        require(self.num_envs >= 1, "rollout.num_envs", "at least 1", self.num_envs)
        require(self.num_steps >= 1, "rollout.num_steps", "at least 1", self.num_steps)
        require(
            self.groups >= 1 and self.num_envs % self.groups == 0,
            "rollout.groups",
            f"a divisor of rollout.num_envs = {self.num_envs}",
            self.groups,
        )


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """The networks of the actors and the critic."""

    share_parameters: bool = True
    """One set of actor parameters for all agents (SMAC), or one set per agent (MA-MuJoCo, GRF)."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers; the last is also the width of the GRU."""
    activation: Literal["relu", "tanh"] = "relu"
    """Non-linearity of the hidden layers."""
    agent_id: bool = True
    """With shared parameters, append each agent's number, one-hot, to its observation. Otherwise
    agents with the same observation have the same policy."""
    layer_norm: bool = True
    """Layer norm after every layer, and of the input if `running_normalisation` is off."""
    recurrent: bool = False
    """Put a GRU after the hidden layers of actor and critic."""
    output_sizes: tuple[int, ...] = ()
    """Widths of further layers, after the GRU if there is one."""
    chunk_length: int = 10
    """Number of steps through which gradients flow back in a recurrent network."""
    running_normalisation: bool = True
    """Scale every input feature by its running mean and standard deviation. If off, with
    `layer_norm`, each vector is scaled over its own features, which removes any offset or scale
    that they share (the paper's choice)."""
    output_gain: float = 0.01
    """Scale of the orthogonal initialisation of the actor's last layer."""
    initial_log_std: float = -0.5
    """Initial log standard deviation of continuous actions."""

    def __post_init__(self) -> None:
        require(
            len(self.hidden_sizes) >= 1 and min(self.hidden_sizes) >= 1,
            "policy.hidden_sizes",
            "one or more positive widths",
            self.hidden_sizes,
        )
        require(
            all(size >= 1 for size in self.output_sizes),
            "policy.output_sizes",
            "positive widths, or none",
            self.output_sizes,
        )
        require(self.chunk_length >= 1, "policy.chunk_length", "at least 1", self.chunk_length)

    @property
    def appends_agent_id(self) -> bool:
        """Whether agents' numbers are appended; separate parameters do not need them."""
        return self.agent_id and self.share_parameters

    @property
    def memory_size(self) -> int:
        """Width of the recurrent state; 0 without memory."""
        return self.hidden_sizes[-1] if self.recurrent else 0


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """Adam for actors and critic, with a bound on each gradient's norm."""

    actor_learning_rate: float = 5e-4
    """Step size of the actors."""
    critic_learning_rate: float = 5e-4
    """Step size of the critic."""
    anneal: bool = False
    """Decrease both step sizes linearly, to 0 at `total_steps`."""
    adam_epsilon: float = 1e-5
    """Adam's denominator offset."""
    max_grad_norm: float = 10.0
    """Gradients with a larger norm are scaled down to it, separately per agent and critic."""

    def __post_init__(self) -> None:
        for name in ("actor_learning_rate", "critic_learning_rate", "adam_epsilon"):
            require(getattr(self, name) > 0, f"optimiser.{name}", "positive", getattr(self, name))
        require(self.max_grad_norm > 0, "optimiser.max_grad_norm", "positive", self.max_grad_norm)


@dataclass(frozen=True, kw_only=True)
class ValueConfig:
    """How the critic is trained."""

    huber_delta: float = 10.0
    """Errors larger than this, in normalised units, enter the loss linearly."""
    clip: float = 0.2
    """Bound on the change from the value at collection, in normalised units; 0: none."""
    normalise: bool = True
    """Train on targets scaled to zero mean and unit variance by running statistics."""
    statistics: Literal["iteration", "step"] = "iteration"
    """When these statistics are updated. `iteration`: before each update, with the targets of the
    whole batch. `step`: at each step of the critic, with those of the minibatch, as ValueNorm in
    MAPPO's public code does."""
    decay: float = 0.99
    """Decay of these statistics per iteration or step. ValueNorm has 0.99999."""
    least_deviation: float = 0.01
    """Lower bound on the standard deviation. ValueNorm has 0.1."""
    mask_dead: bool = False
    """Leave the steps after an agent's death out of its value loss, as MAPPO's public code does by
    default, though not in its scripts for SMAC. If off, the critic learns that the team's reward
    continues."""

    def __post_init__(self) -> None:
        require(self.huber_delta > 0, "value.huber_delta", "positive", self.huber_delta)
        require(self.clip >= 0, "value.clip", "0 or more", self.clip)
        require(0 <= self.decay < 1, "value.decay", "in [0, 1)", self.decay)
        least = self.least_deviation
        require(0 < least < math.inf, "value.least_deviation", "positive and finite", least)

    @property
    def each_step(self) -> bool:
        """Whether the statistics are updated at every step of the critic."""
        return self.normalise and self.statistics == "step"

    @property
    def first_variance(self) -> float:
        """Variance in the statistics before any target; ValueNorm starts from its minimum."""
        return 0.0 if self.each_step else 1.0


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Evaluation of the policy during training and at the end."""

    every_steps: int = 100_000
    """Environment steps between evaluations; 0: only at the end."""
    episodes: int = 32
    """Episodes per evaluation during training."""
    final_episodes: int = 200
    """Episodes of the evaluation at the end; 0: no evaluation."""
    at_end: bool = False
    """Also evaluate after the last iteration as during training, on the same episodes, where
    `every_steps` does not lead there: studies do, so that curves end where training does."""
    greedy: bool = True
    """Take the most probable action rather than sampling."""
    episode_limit: int = 10_000
    """Steps after which an episode counts as ended, if the environment specifies no limit."""

    def __post_init__(self) -> None:
        for name, least in (
            ("every_steps", 0),
            ("episodes", 1),
            ("final_episodes", 0),
            ("episode_limit", 1),
        ):
            value = getattr(self, name)
            require(value >= least, f"evaluation.{name}", f"at least {least}", value)


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Saving the whole training state."""

    every_steps: int = 100_000
    """Environment steps between checkpoints; one is always written at the end."""
    keep: int = 3
    """Number of latest checkpoints to keep, besides the best."""

    def __post_init__(self) -> None:
        require(self.every_steps >= 1, "checkpoint.every_steps", "at least 1", self.every_steps)
        require(self.keep >= 1, "checkpoint.keep", "at least 1", self.keep)
