"""Cooperative environments with PettingZoo's parallel API: `pettingzoo/<module>`.

The agents may have observations of unequal length (the shorter ones end in zeros), unequal numbers
of actions (the surplus is never available) or of action dimensions (the surplus does nothing), and
may leave early (they then count as dead). The team's reward is the mean over all agents, which is
each one's where they share it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from opspo.config import ConfigError
from opspo.environments.base import EnvironmentSpec, Observation, Step

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
        return PettingZoo(module.parallel_env, f"pettingzoo/{name}")
    raise ConfigError(
        f"pettingzoo/{name}: there is no module {name}. Install the package that has it, for "
        "example pip install 'opspo[pettingzoo]' for pettingzoo/mpe2.simple_spread_v3."
    )


def from_pettingzoo(make: MakeParallel, *, name: str = "") -> PettingZoo:
    """An environment of your own with PettingZoo's parallel API, for `opspo.train`.

    Args:
        make: gives a new environment at each call.
        name: for messages and the run's files; by default the environment's own.
    """
    return PettingZoo(make, name)


class PettingZoo:
    """A `HostEnvironment` of any parallel environment."""

    def __init__(self, make: MakeParallel, name: str = "") -> None:
        self.make = make
        probe = make()
        try:
            probe.reset(seed=0)
            self.agents: list[str] = list(probe.possible_agents)
            self._observed = {a: _flat_size(probe.observation_space(a)) for a in self.agents}
            self.spaces = {agent: probe.action_space(agent) for agent in self.agents}
            self.has_state = _has_state(probe)
            state_size = probe.state().size if self.has_state else sum(self._observed.values())
            version = getattr(probe, "metadata", {}).get("name", type(probe).__name__)
        finally:
            probe.close()
        discrete = [hasattr(space, "n") for space in self.spaces.values()]
        if any(discrete) != all(discrete):
            raise ConfigError(
                f"{name or version}: some agents have discrete actions, others continuous ones. "
                "Wrap the environment so that all have the same kind."
            )
        self.discrete = all(discrete)
        sizes = [int(s.n) if self.discrete else int(s.shape[0]) for s in self.spaces.values()]
        self.spec = EnvironmentSpec(
            name=name or f"pettingzoo/{version}",
            num_agents=len(self.agents),
            observation_size=max(self._observed.values()),
            state_size=int(state_size),
            num_actions=max(sizes) if self.discrete else 0,
            action_size=0 if self.discrete else max(sizes),
            engine=f"pettingzoo, {version}",
        )

    def open(self, num_envs: int, seed: int) -> PettingZooBatch:
        """Make the environments; each has a seed of its own."""
        return PettingZooBatch(self, num_envs, seed)


class PettingZooBatch:
    """Parallel environments in this process, one after another."""

    lost_episodes = 0

    def __init__(self, environment: PettingZoo, num_envs: int, seed: int) -> None:
        self._environment = environment
        self._engines = [environment.make() for _ in range(num_envs)]
        self._seeds = np.random.SeedSequence(seed).generate_state(num_envs).tolist()

    def reset(self) -> Observation:
        """Start an episode in every environment."""
        seen = []
        for engine, seed in zip(self._engines, self._seeds, strict=True):
            observation, info = engine.reset(seed=int(seed) % 2**31)
            seen.append(self._observe(engine, observation, info))
        return _stack(seen)

    def step(self, action: np.ndarray) -> tuple[Step, Observation]:
        """Take the joint actions; what ended starts anew."""
        after, following, rows = [], [], []
        for engine, joint in zip(self._engines, action, strict=True):
            acting = list(engine.agents)
            observation, reward, terminated, truncated, info = engine.step(
                {agent: self._action(agent, joint) for agent in acting}
            )
            seen = self._observe(engine, observation, info)
            cut = any(truncated[agent] for agent in acting)
            done = not engine.agents
            mean = sum(reward.values()) / len(self._environment.agents)
            rows.append((mean, done and not cut, done and cut))
            after.append(seen)
            if done:
                observation, info = engine.reset()
                seen = self._observe(engine, observation, info)
            following.append(seen)
        columns: list[Any] = [np.array(column) for column in zip(*rows, strict=True)]
        reward, terminated, truncated = columns
        no_win = np.zeros_like(terminated)
        step = Step(_stack(after), reward.astype(np.float32), terminated, truncated, no_win)
        return step, _stack(following)

    def close(self) -> None:
        """Close every environment."""
        for engine in self._engines:
            engine.close()

    def _action(self, agent: str, joint: np.ndarray) -> Any:
        """One agent's own action out of [N] or [N, D]; continuous ones from [−1, 1] to its box."""
        environment = self._environment
        own, space = joint[environment.agents.index(agent)], environment.spaces[agent]
        if environment.discrete:
            return int(own) + int(getattr(space, "start", 0))
        part = (np.clip(own[: space.shape[0]], -1, 1) + 1) / 2
        low, high = _finite(space)
        return (low + part * (high - low)).astype(space.dtype)

    def _observe(self, engine: Any, observation: Mapping[str, Any], info: Any) -> Observation:
        """One environment's observation, padded: [N, d], [s], [N, A], [N]."""
        environment, spec = self._environment, self._environment.spec
        seen = np.zeros((spec.num_agents, spec.observation_size), np.float32)
        mask = np.zeros((spec.num_agents, spec.num_actions), bool)
        alive = np.array([agent in engine.agents for agent in environment.agents])
        for i, agent in enumerate(environment.agents):
            if agent in observation:
                vector, allowed = _split(observation[agent], info.get(agent, {}))
                seen[i, : vector.size] = vector
                if spec.num_actions:
                    own = int(environment.spaces[agent].n)
                    mask[i, :own] = True if allowed is None else np.asarray(allowed, bool)
            if not alive[i]:
                mask[i] = np.arange(spec.num_actions) == 0
        state: Any = (
            np.asarray(engine.state(), np.float32).reshape(-1)
            if environment.has_state
            else np.concatenate(
                [seen[i, :size] for i, size in enumerate(environment._observed.values())]
            )
        )
        parts: tuple[Any, Any, Any] = seen, (mask if spec.num_actions else None), alive
        return Observation(parts[0], state, parts[1], parts[2])


def _stack(seen: list[Observation]) -> Observation:
    def stack(name: str) -> Any:
        values = [getattr(one, name) for one in seen]
        return None if values[0] is None else np.stack(values)

    return Observation(*(stack(n) for n in ("observation", "state", "available_actions", "alive")))


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
