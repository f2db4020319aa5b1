"""Batches of engines that hold one environment each, in this process or in one process each.

Such a joint environment is a `gymnasium.Env` for the whole team. Its observation is a dictionary of
NumPy arrays: `observation` [N, d], `state` [s], `alive` [N] and, with discrete actions,
`available_actions` [N, A], or [N, D, A] for D decisions. At the end of an episode, its info has
`win` and each of the specification's `outcomes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import TimeLimit

from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.environments.seeding import spread
from opspo.environments.workers import Here, Make, Runner, Seen, Worker


def joint_spaces(spec: EnvironmentSpec) -> tuple[spaces.Dict, spaces.Space]:
    """The observation and action spaces of a joint environment."""
    agents = spec.num_agents
    seen: dict[str, spaces.Space] = {
        "observation": _reals(agents, spec.observation_size),
        "state": _reals(spec.state_size),
        "alive": spaces.MultiBinary(agents),
    }
    if not spec.num_actions:
        return spaces.Dict(seen), spaces.Box(-1, 1, (agents, spec.action_size), np.float32)
    seen["available_actions"] = spaces.MultiBinary((agents, *spec.choices))
    decisions = np.full((agents, *spec.choices[:-1]), spec.num_actions)
    return spaces.Dict(seen), spaces.MultiDiscrete(decisions)


def _reals(*shape: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, shape, np.float32)


class JointBatch:
    """A `HostBatch` of joint environments, in this process or (`workers`) in one process each."""

    def __init__(
        self, spec: EnvironmentSpec, make: Make, num_envs: int, seed: int, *, workers: bool
    ) -> None:
        self._spec = spec
        if spec.episode_limit:
            make = partial(_limited, make, spec.episode_limit)
        self._runners: list[Runner] = [(Worker if workers else Here)(make) for _ in range(num_envs)]
        self._seeds = spread(seed, num_envs)
        self.lost_episodes = 0

    def reset(self) -> Observation:
        """Start an episode in every environment."""
        for runner, seed in zip(self._runners, self._seeds, strict=True):
            runner.begin(seed)
        return _stack([runner.first() for runner in self._runners])

    def step(self, action: np.ndarray) -> tuple[Step, Observation]:
        """Take the joint actions [E, N] or [E, N, D]; environments that ended restart."""
        for runner, joint in zip(self._runners, action, strict=True):
            runner.send(joint)
        answers = [runner.receive() for runner in self._runners]
        lost = _column([answer.lost for answer in answers])
        self.lost_episodes += int(lost.sum())
        terminated = _column([answer.terminated for answer in answers])
        step = Step(
            observation=_stack([answer.seen for answer in answers]),
            reward=_column([answer.reward for answer in answers], np.float32),
            terminated=terminated,
            truncated=_column([answer.truncated for answer in answers]) & ~terminated,
            win=_column([answer.info.get("win", False) for answer in answers]),
            lost=lost,
            outcome={
                name: _column([answer.info.get(name, 0.0) for answer in answers], np.float32)
                for name in self._spec.outcomes
            },
        )
        return step, _stack([answer.following for answer in answers])

    def close(self) -> None:
        """Stop all environments."""
        for runner in self._runners:
            runner.close()


def _limited(make: Make, episode_limit: int) -> gymnasium.Env:
    """An environment that is truncated at the limit, whether or not it does so itself."""
    return TimeLimit(make(), episode_limit)


def _column(values: Sequence[Any], dtype: Any = bool) -> Any:
    return np.array(values, dtype)


def _stack(seen: Sequence[Seen]) -> Observation:
    def stack(name: str, dtype: Any) -> Any:
        return np.stack([np.asarray(one[name], dtype) for one in seen])

    discrete = "available_actions" in seen[0]
    return Observation(
        observation=stack("observation", np.float32),
        state=stack("state", np.float32),
        available_actions=stack("available_actions", bool) if discrete else None,
        alive=stack("alive", bool),
    )
