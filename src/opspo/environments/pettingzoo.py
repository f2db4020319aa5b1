"""Cooperative environments with PettingZoo's parallel API: `pettingzoo/<module>`.

The agents may have observations of unequal length (the shorter ones end in zeros), unequal numbers
of actions (the surplus is never available) or of action dimensions (the surplus does nothing), and
may leave early (they then count as dead). The team's reward is the mean over all agents, which is
each one's where they share it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import packages_distributions, version
from typing import Any

import gymnasium
import numpy as np

from opspo.config import ConfigError
from opspo.environments.base import EnvironmentSpec
from opspo.environments.joint import JointBatch, joint_spaces

MakeParallel = Callable[[], Any]
"""() → a parallel environment"""


def from_module(name: str) -> PettingZoo:
    """The environment of `<module>.parallel_env`, such as `mpe2.simple_spread_v3`.

    Raises:
        ConfigError: there is no such module, or no parallel environment in it.
    """
    for path in (name, f"pettingzoo.{name}"):
        try:
            module = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name is None or not path.startswith(error.name):
                raise ConfigError(f"pettingzoo/{name} needs {error.name}: {error}.") from error
            continue
        if not hasattr(module, "parallel_env"):
            raise ConfigError(f"{path} has no parallel_env, which opspo needs.")
        return PettingZoo(module.parallel_env, f"pettingzoo/{name}", engine=_package(path))
    raise ConfigError(
        f"pettingzoo/{name}: there is no module {name}. Install the package that has it, for "
        "example pip install 'opspo[pettingzoo]' for pettingzoo/mpe2.simple_spread_v3."
    )


def from_pettingzoo(make: MakeParallel, *, name: str = "", workers: bool = False) -> PettingZoo:
    """An environment of your own with PettingZoo's parallel API, for `opspo.train`.

    Args:
        make: gives a new environment at each call.
        name: for messages and the run's files; by default the environment's own.
        workers: step each in a process of its own, which is started again if it dies. Worth it
            from about a millisecond a step. A script that does this keeps what it runs behind
            `if __name__ == "__main__":`, since every worker imports it.
    """
    return PettingZoo(make, name, workers=workers)


def _package(module: str) -> str:
    """The package that a module is from, with its version; the module itself if it is from none."""
    top = module.partition(".")[0]
    distributions = packages_distributions().get(top, [])
    return f"{distributions[0]} {version(distributions[0])}" if distributions else module


class PettingZoo:
    """A `HostEnvironment` of any parallel environment."""

    def __init__(
        self, make: MakeParallel, name: str = "", *, workers: bool = False, engine: str = ""
    ) -> None:
        self.make = make
        self.workers = workers
        probe = make()
        try:
            probe.reset(seed=0)
            self.agents: list[str] = list(probe.possible_agents)
            self.observed = {a: _flat_size(probe.observation_space(a)) for a in self.agents}
            self.spaces = {agent: probe.action_space(agent) for agent in self.agents}
            self.has_state = _has_state(probe)
            state_size = probe.state().size if self.has_state else sum(self.observed.values())
            title = getattr(probe, "metadata", {}).get("name", type(probe).__name__)
        finally:
            probe.close()
        discrete = [hasattr(space, "n") for space in self.spaces.values()]
        if any(discrete) != all(discrete):
            raise ConfigError(
                f"{name or title}: some agents have discrete actions, others continuous ones. "
                "Wrap the environment so that all have the same kind."
            )
        self.discrete = all(discrete)
        sizes = [int(s.n) if self.discrete else int(s.shape[0]) for s in self.spaces.values()]
        self.spec = EnvironmentSpec(
            name=name or f"pettingzoo/{title}",
            num_agents=len(self.agents),
            observation_size=max(self.observed.values()),
            state_size=int(state_size),
            num_actions=max(sizes) if self.discrete else 0,
            action_size=0 if self.discrete else max(sizes),
            engine=engine or title,
        )

    def open(self, num_envs: int, seed: int) -> JointBatch:
        """Make the environments; each has a seed of its own."""
        make = partial(Joint, self)
        return JointBatch(self.spec, make, num_envs, seed, workers=self.workers)


class Joint(gymnasium.Env):
    """One parallel environment as a joint one; see `environments/joint.py`."""

    def __init__(self, environment: PettingZoo) -> None:
        self._environment = environment
        self.observation_space, self.action_space = joint_spaces(environment.spec)
        self._engine: Any = None

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        if self._engine is None:
            self._engine = self._environment.make()
        observation, info = self._engine.reset(seed=seed)
        return self._observe(observation, info), {}

    def step(self, joint: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a joint action, [N] or [N, D]."""
        engine = self._engine
        acting = list(engine.agents)
        observation, reward, _, truncated, info = engine.step(
            {agent: self._action(agent, joint) for agent in acting}
        )
        cut = any(truncated[agent] for agent in acting)
        done = not engine.agents
        mean = sum(reward.values()) / len(self._environment.agents)
        return self._observe(observation, info), mean, done and not cut, done and cut, {}

    def render(self) -> Any:
        """The engine's own picture."""
        return self._engine.render()

    def close(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            self._engine.close()

    def _action(self, agent: str, joint: np.ndarray) -> Any:
        """One agent's own action out of [N] or [N, D]; continuous ones from [−1, 1] to its box."""
        environment = self._environment
        own, space = joint[environment.agents.index(agent)], environment.spaces[agent]
        if environment.discrete:
            return int(own) + int(getattr(space, "start", 0))
        part = (np.clip(own[: space.shape[0]], -1, 1) + 1) / 2
        low, high = _finite(space)
        return (low + part * (high - low)).astype(space.dtype)

    def _observe(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
        """The observation, padded."""
        environment, spec, engine = self._environment, self._environment.spec, self._engine
        seen = np.zeros((spec.num_agents, spec.observation_size), np.float32)
        mask = np.zeros((spec.num_agents, spec.num_actions), np.int8)
        alive = np.array([agent in engine.agents for agent in environment.agents], np.int8)
        for i, agent in enumerate(environment.agents):
            if agent in observation:
                vector, allowed = _split(observation[agent], info.get(agent, {}))
                seen[i, : vector.size] = vector
                if spec.num_actions:
                    own = int(environment.spaces[agent].n)
                    mask[i, :own] = True if allowed is None else np.asarray(allowed, bool)
            if not alive[i]:
                mask[i] = np.arange(spec.num_actions) == 0
        whole = {"observation": seen, "state": self._state(seen), "alive": alive}
        return whole | ({"available_actions": mask} if spec.num_actions else {})

    def _state(self, seen: np.ndarray) -> np.ndarray:
        """The engine's state, or all observations without their padding."""
        if self._environment.has_state:
            return np.asarray(self._engine.state(), np.float32).reshape(-1)
        sizes = self._environment.observed.values()
        return np.concatenate([seen[i, :size] for i, size in enumerate(sizes)])


def _split(observed: Any, info: Mapping[str, Any]) -> tuple[np.ndarray, Any]:
    """The vector, and the action mask if the observation or the info has one."""
    mask = info.get("action_mask")
    if isinstance(observed, Mapping):
        mask = observed.get("action_mask", mask)
        observed = observed["observation"]
    return np.asarray(observed, np.float32).reshape(-1), mask


def _flat_size(space: Any) -> int:
    space = space["observation"] if hasattr(space, "spaces") else space
    return int(np.prod(space.shape))


def _has_state(engine: Any) -> bool:
    try:
        return engine.state() is not None
    except (NotImplementedError, AttributeError):
        return False


def _finite(space: Any) -> tuple[np.ndarray, np.ndarray]:
    """The box's ends; ±1 where it has none."""
    return (
        np.where(np.isfinite(space.low), space.low, -1.0),
        np.where(np.isfinite(space.high), space.high, 1.0),
    )
