"""Where an environment's arrays enter the library: dtypes, flags and agent numbers.

Training and evaluation wrap every environment with `entered`, so an engine's output is converted in
one place. Observations, states, rewards and outcomes of any dtype become float32; flags become
bool, and an end with both flags set is a termination.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax.numpy as jnp
import numpy as np

from opspo.environments.base import (
    Environment,
    EnvironmentSpec,
    HostBatch,
    HostEnvironment,
    JaxEnvironment,
    Observation,
    Step,
    runs_on_host,
)
from opspo.environments.checks.first import FirstLook
from opspo.environments.frames import told
from opspo.errors import ConfigError, EngineError
from opspo.types import Array


def entered(environment: Environment, *, agent_id: bool) -> Environment:
    """The environment as the library sees it.

    Args:
        environment: as its author made it; one that is already wrapped is unwrapped first.
        agent_id: append each agent's number, one-hot, to its observation.
    """
    environment = as_made(environment)
    if runs_on_host(environment):
        return HostEntry(environment, agent_id=agent_id)
    return JaxEntry(environment, agent_id=agent_id)


def as_made(environment: Environment) -> Environment:
    """The environment as its author made it."""
    return environment.made if isinstance(environment, JaxEntry | HostEntry) else environment


def entered_spec(spec: EnvironmentSpec, *, agent_id: bool) -> EnvironmentSpec:
    """The specification after entry: with `agent_id`, observations are longer by N."""
    size = spec.observation_size + spec.num_agents * agent_id
    return dataclasses.replace(spec, observation_size=size)


def with_agent_id(observation: Any, agents: int | Any, *, xp: Any = jnp) -> Any:
    """Observations with each agent's number appended as a one-hot vector.

    Args:
        observation: [..., N, d].
        agents: M if all agents are present (N = M), or the one-hot rows of those that are, [N, M].
        xp: the array module, `jax.numpy` or `numpy`.

    Returns:
        [..., N, d + M].
    """
    number = xp.eye(agents) if isinstance(agents, int) else agents
    number = xp.broadcast_to(number, (*observation.shape[:-1], number.shape[-1]))
    return xp.concatenate([observation, number.astype(observation.dtype)], axis=-1)


def _own(value: Any, dtype: Any, xp: Any) -> Any:
    """An array of our own. An engine may refill the same NumPy array at each step, before we have
    recorded what it held; JAX arrays never change."""
    return np.array(value, dtype) if xp is np else jnp.asarray(value, dtype)


def _observation(seen: Observation, agents: int, xp: Any) -> Observation:
    """`agents`: the length of the one-hot number to append; 0 for none."""
    observation = _own(seen.observation, np.float32, xp)
    available = seen.available_actions
    return Observation(
        observation=with_agent_id(observation, agents, xp=xp) if agents else observation,
        state=_own(seen.state, np.float32, xp),
        available_actions=None if available is None else _own(available, bool, xp),
        alive=_own(seen.alive, bool, xp),
    )


def _step(step: Step, agents: int, xp: Any) -> Step:
    terminated = _own(step.terminated, bool, xp)
    return Step(
        observation=_observation(step.observation, agents, xp),
        reward=_own(step.reward, np.float32, xp),
        terminated=terminated,
        truncated=_own(step.truncated, bool, xp) & ~terminated,
        win=_own(step.win, bool, xp),
        lost=None if step.lost is None else _own(step.lost, bool, xp),
        outcome={name: _own(value, np.float32, xp) for name, value in step.outcome.items()},
    )


class JaxEntry:
    """A `JaxEnvironment` after entry."""

    def __init__(self, made: JaxEnvironment, *, agent_id: bool) -> None:
        self.made = made
        self.spec = entered_spec(made.spec, agent_id=agent_id)
        self._agents = made.spec.num_agents * agent_id

    def reset(self, key: Array) -> tuple[Any, Observation]:
        """Start an episode; return its state and the first observation."""
        state, seen = self.made.reset(key)
        return state, _observation(seen, self._agents, jnp)

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, Step]:
        """Take the joint action, int [N] or [N, D], or float [N, D]."""
        state, step = self.made.step(key, state, action)
        return state, _step(step, self._agents, jnp)


class HostEntry:
    """A `HostEnvironment` after entry."""

    def __init__(self, made: HostEnvironment, *, agent_id: bool) -> None:
        self.made = made
        self.spec = entered_spec(made.spec, agent_id=agent_id)
        self.agents = made.spec.num_agents * agent_id
        """Length of the one-hot number appended to observations; 0 for none"""
        self.fitted = False
        """Whether a step has matched the specification. A mismatch before that is an error in the
        settings; after it, training has begun and what was learned must be saved"""

    def open(self, num_envs: int, seed: int) -> BatchEntry:
        """Start the engine."""
        batch = self.tried(
            lambda: FirstLook(self.made.open(num_envs, seed), self.made.spec, num_envs),
            "when it was opened",
        )
        return BatchEntry(batch, num_envs, self)

    def tried(self, call: Callable[[], Any], when: str) -> Any:
        """As the function `tried`, but a mismatch after a step that matched is an `EngineError`,
        so that the training state is saved."""
        try:
            return tried(call, when)
        except ConfigError as error:
            if not self.fitted:
                raise
            raise EngineError(
                f"The environment no longer fits its specification {when}.\n{told(error)}"
            ) from error


class BatchEntry:
    """A `HostBatch` after entry: whatever its environment raises becomes an `EngineError`.

    If the engine runs past the specification's episode limit, the episode is truncated there, and
    the steps that follow count as a new one.
    """

    def __init__(self, made: HostBatch, num_envs: int, entry: HostEntry) -> None:
        self._made, self._entry = made, entry
        self._agents, self._limit = entry.agents, entry.spec.episode_limit
        self._lengths = np.zeros(num_envs, int)
        self._steps = 0

    def reset(self) -> Observation:
        """Start an episode in every environment."""
        self._lengths[:] = 0
        return _observation(self._entry.tried(self._made.reset, "at a reset"), self._agents, np)

    def step(self, action: np.ndarray) -> tuple[Step, Observation]:
        """Take the joint actions, int [E, N] or [E, N, D], or float [E, N, D]."""
        made, following = self._entry.tried(
            lambda: self._made.step(action), f"at step {self._steps}"
        )
        self._entry.fitted = True
        self._steps += 1
        self._lengths += 1
        step: Any = _step(made, self._agents, np)
        if self._limit:
            cut = (self._lengths >= self._limit) & ~step.terminated
            step = step.replace(truncated=step.truncated | cut)
        self._lengths[step.terminated | step.truncated] = 0
        return step, _observation(following, self._agents, np)

    @property
    def lost_episodes(self) -> int:
        """The engine's count of lost episodes."""
        return int(
            self._entry.tried(lambda: self._made.lost_episodes, "when asked for `lost_episodes`")
        )

    def close(self) -> None:
        """Stop the engine. An exception here is only a warning: nothing is left to save."""
        try:
            self._made.close()
        except Exception as error:
            warnings.warn(f"The environment raised when closed: {error!r}", stacklevel=2)


def tried(call: Callable[[], Any], when: str) -> Any:
    """The result of a call into the environment.

    Args:
        call: the call.
        when: for the message, such as "at step 3".

    Raises:
        EngineError: the environment raised; the message has its traceback.
        ConfigError: what it returned does not fit its specification.
    """
    with in_its_words(f"The environment raised {when}."):
        return call()


@contextmanager
def in_its_words(what: str) -> Iterator[None]:
    """Turn whatever an environment raises inside into an `EngineError` with its traceback.

    `EngineError` and `ConfigError` pass unchanged.

    Args:
        what: what failed, as a sentence.
    """
    try:
        yield
    except (EngineError, ConfigError):
        raise
    except Exception as error:
        raise EngineError(f"{what}\n{told(error)}") from error
