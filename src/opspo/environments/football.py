"""Google Research Football: `football/<scenario>[:simple115]`.

Our outfield players are the agents; the engine plays our keeper and the other team. Full time, or
whatever else ends a scenario, is a termination. Each match runs in its own process.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from functools import partial
from importlib.metadata import version
from typing import Any

import gymnasium
import numpy as np

from opspo.environments import football_features as features
from opspo.environments.base import EnvironmentSpec
from opspo.environments.joint import JointBatch, joint_spaces
from opspo.environments.tasks import FOOTBALL_SCENARIOS
from opspo.errors import ConfigError

SIMPLE = "simple115"
_KEEPER = 0
"""The engine's number for the role of goalkeeper"""


def parse(name: str) -> tuple[str, bool]:
    """Split `<scenario>[:simple115]` into the scenario and whether agents observe `simple115`.

    Raises:
        ConfigError: the scenario or the option does not exist.
    """
    scenario, _, option = name.partition(":")
    if scenario not in FOOTBALL_SCENARIOS:
        raise ConfigError(
            f"'football/{name}': there is no scenario '{scenario}'. There are "
            f"{', '.join(FOOTBALL_SCENARIOS)}."
        )
    if option not in ("", SIMPLE):
        raise ConfigError(f"'football/{name}': the only option is '{SIMPLE}', not '{option}'.")
    return scenario, option == SIMPLE


class Football:
    """A `HostEnvironment` of one scenario."""

    def __init__(self, name: str) -> None:
        self.scenario, self.simple = parse(name)
        config = _config(self.scenario, 0).ScenarioConfig()
        self.left, self.right = len(config.left_team), len(config.right_team)
        self.agents = sum(
            player.controllable and int(player.role) != _KEEPER for player in config.left_team
        )
        self.duration = int(config.game_duration)
        size = 115 if self.simple else features.observe_size(self.left, self.right)
        self.spec = EnvironmentSpec(
            name=f"football/{name}",
            num_agents=self.agents,
            observation_size=size,
            state_size=features.state_size(self.left, self.right),
            num_actions=features.NUM_ACTIONS,
            episode_limit=self.duration + 1,
            has_win=True,
            outcomes=("goals_for", "goals_against", "possession"),
            engine=f"gfootball {version('gfootball')}",
        )

    def open(self, num_envs: int, seed: int) -> JointBatch:
        """Start one process per match."""
        return JointBatch(self.spec, partial(Match, self), num_envs, seed, workers=True)


class Match(gymnasium.Env):
    """One match as a joint environment; see `environments/joint.py`."""

    def __init__(self, environment: Football) -> None:
        self._environment = environment
        self.observation_space, self.action_space = joint_spaces(environment.spec)
        self._engine: Any = None
        self.raw: dict[str, Any] = {}
        """The engine's latest observation"""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Kick off. Each match gets its own seed, drawn from the generator that `seed` starts."""
        super().reset(seed=seed)
        own = int(self.np_random.integers(2**31))
        if self._engine is None:
            environment = self._environment
            self._settings = _config(environment.scenario, environment.agents)
            self._engine = _start(self._settings)
        self._settings["game_engine_random_seed"] = own
        self._settings["reverse_team_processing"] = bool(own % 2)
        seen = self._look(self._engine.reset())
        self._had_ball, self._steps = -1, np.zeros(2)
        return seen, {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a joint action, int [N]."""
        before = self.raw
        answer, _, done, _ = self._engine.step(np.asarray(action))
        seen = self._look(answer)
        reward = features.reward(before, self.raw, had_ball=self._had_ball, done=done)
        owner = self.raw["ball_owned_team"]
        if owner != -1:
            self._had_ball = owner
            self._steps[owner] += 1
        return seen, reward, done, False, self._outcome() if done else {}

    def close(self) -> None:
        """Release the engine."""
        if self._engine is not None:
            self._engine.close()

    def _look(self, answer: list[dict[str, Any]]) -> dict[str, Any]:
        self.raw = answer[0]
        # after a player is sent off, the engine leaves the last agents without a player
        active = np.array([one["active"] for one in answer])
        alive = (active >= 0) & self.raw["left_team_active"][active]
        there = [one for one, plays in zip(answer, alive, strict=True) if plays]
        active = active[alive]
        sticky = np.array([one["sticky_actions"] for one in there]).reshape(len(there), -1)
        seen = np.zeros(self.observation_space["observation"].shape, np.float32)  # type: ignore[index]
        mask = np.zeros((len(answer), features.NUM_ACTIONS), np.int8)
        mask[:, features.IDLE] = 1
        if there:
            seen[alive] = (
                _simple115(there)
                if self._environment.simple
                else features.observe(self.raw, active, sticky)
            )
            mask[alive] = features.available_actions(self.raw, active, sticky)
        return {
            "observation": seen,
            "state": features.whole_pitch(self.raw, self._environment.duration),
            "alive": alive.astype(np.int8),
            "available_actions": mask,
        }

    def _outcome(self) -> dict[str, Any]:
        ours, theirs = self.raw["score"]
        return {
            "win": ours > theirs,
            "goals_for": float(ours),
            "goals_against": float(theirs),
            "possession": float(self._steps[0] / max(self._steps.sum(), 1)),
        }


def _simple115(answer: list[dict[str, Any]]) -> np.ndarray:
    from gfootball.env.wrappers import Simple115StateWrapper  # noqa: PLC0415

    converted = Simple115StateWrapper.convert_observation(answer, fixed_positions=True)
    return np.asarray(converted, np.float32)


def _config(scenario: str, agents: int) -> Any:
    with redirect_stderr(io.StringIO()):  # the engine imports Gym, which warns that it is old
        from gfootball.env.config import Config  # noqa: PLC0415  (loads the engine)

    return Config(
        {
            "level": scenario,
            "players": [f"agent:left_players={agents},right_players=0"],
            "game_engine_random_seed": 0,
        }
    )


def _start(settings: Any) -> Any:
    with redirect_stderr(io.StringIO()):
        from gfootball.env.football_env import FootballEnv  # noqa: PLC0415

    return FootballEnv(settings)
