"""StarCraft II: `smac/<map>`, and anything with the API of SMAC's `StarCraft2Env`.

Each battle runs in its own process. An engine that crashes is restarted, and its episode is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np

from opspo.environments.base import EnvironmentSpec
from opspo.environments.joint import JointBatch, joint_spaces
from opspo.environments.tasks import INSTALL_STARCRAFT
from opspo.errors import ConfigError, unknown_name

MakeSMAC = Callable[[int], Any]
"""(seed) → an engine with the API of `StarCraft2Env`. One is made in every process, and one in this
process, only to read its sizes"""


def from_map(map_name: str) -> StarCraft:
    """SMAC's environment for that map.

    Raises:
        ConfigError: SMAC cannot be loaded, or has no such map.
    """
    try:
        module = import_module("smac.env.starcraft2.maps.smac_maps")
    except Exception as error:  # a wrong protobuf raises a TypeError; another `smac`, anything
        raise ConfigError(
            f"smac/{map_name}: a package 'smac' is installed, but SMAC does not load: {error}\n"
            f"To fix it: {INSTALL_STARCRAFT}"
        ) from error
    maps = module.get_smac_map_registry()
    if map_name not in maps:
        raise unknown_name("SMAC map", map_name, maps)
    return StarCraft(partial(_start, map_name), f"smac/{map_name}")


def _start(map_name: str, seed: int) -> Any:
    return import_module("smac.env").StarCraft2Env(map_name=map_name, seed=seed)


def from_smac(make: MakeSMAC, *, name: str = "", workers: bool = True) -> StarCraft:
    """Your own environment with the API of SMAC's `StarCraft2Env`, for `opspo.train`.

    Args:
        make: returns a new engine for a seed, such as
            `lambda seed: StarCraft2Env("3m", seed=seed)`. It is sent to other processes, so what it
            uses must be importable there.
        name: for messages and the run's files; by default the name of the engine's class.
        workers: whether each engine runs in its own process. If not, a crash ends the training.
    """
    return StarCraft(make, name, workers=workers)


class StarCraft:
    """Any engine with that API, as a `HostEnvironment`."""

    def __init__(self, make: MakeSMAC, name: str = "", *, workers: bool = True) -> None:
        self.make, self.workers = make, workers
        probe = make(0)
        try:
            sizes = probe.get_env_info()
        finally:
            probe.close()
        kind = type(probe)
        self.spec = EnvironmentSpec(
            name=name or f"smac/{kind.__name__}",
            num_agents=int(sizes["n_agents"]),
            observation_size=int(sizes["obs_shape"]),
            state_size=int(sizes["state_shape"]),
            num_actions=int(sizes["n_actions"]),
            episode_limit=int(sizes["episode_limit"]),
            has_win=True,
            outcomes=("dead_allies", "dead_enemies"),
            engine=f"{kind.__module__.partition('.')[0]}, {kind.__name__}",
        )

    def open(self, num_envs: int, seed: int) -> JointBatch:
        """Start the battles, with `workers` in one process each."""
        make = partial(Battle, self)
        return JointBatch(self.spec, make, num_envs, seed, workers=self.workers)


class Battle(gymnasium.Env):
    """One engine as a joint environment; see `environments/joint.py`."""

    def __init__(self, environment: StarCraft) -> None:
        self._environment = environment
        self.observation_space, self.action_space = joint_spaces(environment.spec)
        self._engine: Any = None
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Start a battle. An engine is seeded when it is made, so a new seed needs a new engine."""
        super().reset(seed=seed)
        if self._engine is None or seed is not None:
            self.close()
            self._engine = self._environment.make(int(self.np_random.integers(2**31)))
        self._engine.reset()  # SMACv2's sometimes returns nothing
        self._steps = 0
        return self._look(), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a joint action, int [N].

        Raises:
            RuntimeError: the engine crashed.
        """
        reward, ended, info = self._engine.step([int(one) for one in action])
        if ended and not info:
            raise RuntimeError("StarCraft II crashed: the engine ended the battle without a word.")
        self._steps += 1
        seen = self._look()
        won = bool(info.get("battle_won", False))
        # the engines report the time limit as an end, or have no limit
        decided = won or not seen["alive"].any()
        cut = self._steps >= self._environment.spec.episode_limit and not decided
        numbers = {name: float(info[name]) for name in self._environment.spec.outcomes}
        return seen, float(reward), bool(ended) and not cut, cut, {"win": won, **numbers}

    def close(self) -> None:
        """Stop the game."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _look(self) -> dict[str, Any]:
        available = np.asarray(self._engine.get_avail_actions(), np.int8)
        alive: Any = available[:, 1:].any(axis=1)  # the dead can take action 0 only
        seen = np.asarray(self._engine.get_obs(), np.float32)
        return {
            "observation": np.where(alive[:, None], seen, np.float32(0)),
            "state": np.asarray(self._engine.get_state(), np.float32),
            "alive": alive.astype(np.int8),
            "available_actions": available,
        }


class SMAClite:
    """SMAClite, a reimplementation of SMAC in Python, with the API of SMAC's `StarCraft2Env`."""

    def __init__(self, environment: Any, *, episode_limit: int) -> None:
        """Wrap an environment.

        Args:
            environment: such as `gymnasium.make("smaclite/2s3z-v0", seed=seed)`.
            episode_limit: maximum number of steps in a battle; SMAClite has no limit of its own.
        """
        self._environment = environment.unwrapped
        self._episode_limit = episode_limit

    def get_env_info(self) -> dict[str, int]:
        """The sizes: agents, observation, state, actions and episode limit."""
        own = self._environment
        return {
            "n_agents": own.n_agents,
            "obs_shape": own.obs_size,
            "state_shape": own.state_size,
            "n_actions": own.n_actions,
            "episode_limit": self._episode_limit,
        }

    def reset(self) -> None:
        """Start a battle."""
        self._environment.reset()

    def step(self, actions: list[int]) -> tuple[float, bool, dict[str, Any]]:
        """Take a joint action [N]; return the reward, whether the battle ended, and the info."""
        own = self._environment
        _, reward, terminated, truncated, info = own.step(actions)
        # SMAClite drops the dead from its lists
        dead = {
            "dead_allies": own.n_agents - len(own.agents),
            "dead_enemies": own.n_enemies - len(own.enemies),
        }
        return reward, terminated or truncated, info | dead

    def get_obs(self) -> Any:
        """The agents' observations, [N, d]."""
        return self._environment.get_obs()

    def get_state(self) -> Any:
        """The global state, [s]."""
        return self._environment.get_state()

    def get_avail_actions(self) -> Any:
        """The action masks, [N, A]."""
        return self._environment.get_avail_actions()

    def close(self) -> None:
        """Close the environment."""
        self._environment.close()
