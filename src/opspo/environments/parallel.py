"""An environment with PettingZoo's parallel API as a joint one; see `environments/joint.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import gymnasium
import numpy as np

from opspo.environments.base import EnvironmentSpec
from opspo.environments.decisions import Action, allowed, choices_of, random_action
from opspo.environments.joint import joint_spaces
from opspo.environments.spaces import MASK, View
from opspo.errors import ConfigError

NO_STATE = (
    "pass own_state=False to opspo.from_pettingzoo: the critic then sees all observations, "
    "concatenated"
)
"""The fix for a `state()` that cannot be used"""
MakeParallel = Callable[[], Any]
"""() → a parallel environment"""


class Parallel(Protocol):
    """What is known about the environment before it is played."""

    make: MakeParallel
    spec: EnvironmentSpec
    agents: list[Any]
    """The engine's names of all agents that may ever take part"""
    views: dict[Any, View]
    actions: dict[Any, Action]
    has_state: bool
    """Whether the critic sees the engine's `state()` rather than the concatenated observations"""


class Joint(gymnasium.Env):
    """The agents of one parallel environment as a team.

    **Ends.** An agent is out once it is terminated or truncated, whether or not the engine still
    lists it, or once the engine no longer lists it. If the engine drops it and lists it again, it
    is back in. The episode ends when every agent that acted is out and nobody else is in. It is
    truncated if any of them was truncated without also being terminated, and terminated otherwise.
    Every listed agent gets an action, since an engine may look for one; an agent that is out always
    gets choice 0.

    **Reward.** The mean over the agents that acted in the step and were given a reward.

    **The last observation.** The agents present at the end count as alive in it and keep their
    observations, since the value of a truncated episode is that of its true last state. Whatever
    the engine does not provide there (an observation is left out; `state()` raises or has a
    different size, as in multiwalker once nobody is left) is taken from one step before. The
    concatenated observations would not do for the state: there they would have a different meaning
    and size than everywhere else.
    """

    def __init__(self, environment: Parallel, engine: Any = None) -> None:
        self._environment = environment
        self.observation_space, self.action_space = joint_spaces(environment.spec)
        self._engine = engine
        self._choices = choices_of(environment.spec) if environment.spec.num_actions else None
        self._out: set[Any] = set()
        """Agents that are out but still listed"""
        self._seen = np.zeros((0, 0), np.float32)
        self._state = np.zeros(0, np.float32)
        self.rewards: dict[Any, float] = {}
        """Reward in the last step of each agent that acted"""

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode.

        Raises:
            ConfigError: no agent is listed, or an unknown one is; or an observation, a mask or the
                state does not fit.
        """
        if self._engine is None:
            self._engine = self._environment.make()
        observation, info = self._engine.reset(seed=seed)
        self._out, present = set(), self._listed()
        if not present:
            raise ConfigError(
                f"{self._environment.spec.name}: agents is empty after reset(), so the episode "
                "would be over before it begins. Let reset() set it to the agents that take part: "
                "self.agents = self.possible_agents[:]."
            )
        return self._look(observation, info, present=present, over=False), {}

    def step(self, joint: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Take a joint action, int [N] or [N, D], or float [N, D].

        Raises:
            ConfigError: an unknown agent is listed, or an observation, mask or state does not fit.
        """
        listed = self._listed()
        acting = [agent for agent in listed if agent not in self._out]
        observation, reward, terminated, truncated, info = self._engine.step(
            {agent: self._action(agent, joint) for agent in listed}
        )
        fell = {agent for agent in acting if terminated.get(agent, False)}
        cut = {agent for agent in acting if truncated.get(agent, False)}
        still = self._listed()
        self._out = (self._out | fell | cut) & set(still)
        present = [agent for agent in still if agent not in self._out]
        over = not present
        if over:
            present = [agent for agent in acting if agent not in fell] or acting
        by_limit = over and bool(cut - fell)
        self.rewards = {a: np.asarray(reward[a], float).item() for a in acting if a in reward}
        mean = sum(self.rewards.values()) / max(len(self.rewards), 1)
        seen = self._look(observation, info, present=present, over=over)
        return seen, mean, over and not by_limit, by_limit, {}

    def render(self) -> Any:
        """The engine's own rendering."""
        return self._engine.render()

    def close(self) -> None:
        """Close the engine."""
        if self._engine is not None:
            self._engine.close()

    def _listed(self) -> list[Any]:
        """The agents that the engine lists now.

        Raises:
            ConfigError: one of them is unknown.
        """
        listed = list(self._engine.agents)
        known = self._environment.agents
        unknown = [agent for agent in listed if agent not in known]
        if unknown:
            raise ConfigError(
                f"{self._environment.spec.name}: agents {unknown} are not among its "
                f"possible_agents {known}. List there every agent that may ever take part."
            )
        return listed

    def _action(self, agent: Any, joint: np.ndarray) -> Any:
        """One agent's own action out of [N] or [N, D]."""
        own = np.asarray(joint[self._environment.agents.index(agent)]).reshape(-1)
        action = self._environment.actions[agent]
        return action.decode(own[: action.size])

    def _look(
        self, observation: Mapping[str, Any], info: Mapping[str, Any], *, present: Any, over: bool
    ) -> dict[str, Any]:
        """Padded observations of the agents present; zeros and choice 0 for the others."""
        environment, spec = self._environment, self._environment.spec
        seen = np.zeros((spec.num_agents, spec.observation_size), np.float32)
        masks = np.zeros((spec.num_agents, spec.action_size or 1, spec.num_actions), np.int8)
        masks[..., :1] = 1
        alive = np.array([agent in present for agent in environment.agents], np.int8)
        for i in np.flatnonzero(alive):
            agent = environment.agents[i]
            if agent in observation:
                vector, mask = self._one(agent, observation[agent], info.get(agent) or {})
                seen[i, : vector.size] = vector
                if self._choices is not None:
                    masks[i] = self._choices[i] if mask is None else mask
            elif over:
                seen[i] = self._seen[i]
            else:
                raise ConfigError(
                    f"{spec.name}: agent {agent!r} is among the agents, but has no observation. "
                    "Return one for every agent in it."
                )
        self._seen, self._state = seen, self._see_state(seen, over)
        whole = {"observation": seen, "state": self._state, "alive": alive}
        if not spec.num_actions:
            return whole
        return whole | {"available_actions": masks.reshape(-1, *spec.choices)}

    def _one(self, agent: Any, observed: Any, info: Mapping[str, Any]) -> tuple[np.ndarray, Any]:
        """The vector [d], and the mask [D, A] if the observation or the info has one.

        Raises:
            ConfigError: they do not fit the agent's spaces.
        """
        environment, spec = self._environment, self._environment.spec
        mask = info.get(MASK)
        if isinstance(observed, Mapping):
            mask = observed.get(MASK, mask)
        try:
            vector = environment.views[agent].encode(observed)
            if mask is not None and spec.num_actions:
                mask = allowed(
                    mask, environment.actions[agent], spec.action_size or 1, spec.num_actions
                )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{spec.name}: what agent {agent!r} observed does not fit its spaces: "
                f"{type(error).__name__}: {error}. Make the environment return what its "
                f"observation_space and action_space declare; it returned {observed}."
            ) from error
        return vector, mask

    def _see_state(self, seen: np.ndarray, over: bool) -> np.ndarray:
        """[s] the engine's state, or all observations without their padding."""
        environment = self._environment
        if not environment.has_state:
            sizes = (view.size for view in environment.views.values())
            return np.concatenate([seen[i, :size] for i, size in enumerate(sizes)])
        try:
            # a copy: it may be needed for the end, and the engine may overwrite its own array
            state = np.array(self._engine.state(), np.float32).reshape(-1)
        except Exception as error:
            if over:
                return self._state
            raise self._no_state(f"raised {type(error).__name__}: {error}") from error
        if state.size == environment.spec.state_size:
            return state
        if over:
            return self._state
        raise self._no_state(
            f"returned {state.size} numbers, and {environment.spec.state_size} before"
        )

    def _no_state(self, why: str) -> ConfigError:
        return ConfigError(
            f"{self._environment.spec.name}: state() {why}, in the middle of an episode. Let it "
            f"return a vector of one size throughout, or {NO_STATE}."
        )


def random_rewards(joint: Joint, agents: list[Any], *, steps: int, seconds: float) -> np.ndarray:
    """Each agent's reward, [T, N], in random play.

    T is less than `steps` if they would take longer than `seconds`, or if the engine raises:
    training will report that.

    Args:
        joint: the environment to play.
        agents: the order of axis N.
        steps: most steps to play.
        seconds: time after which play stops.

    Raises:
        ConfigError: the environment does not fit its spaces.
    """
    spec, rng = joint._environment.spec, np.random.default_rng(0)
    rewards = np.zeros((steps, len(agents)))
    deadline, ended = time.monotonic() + seconds, True
    seen: Mapping[str, Any] = {}
    for t in range(steps):
        try:
            if ended:
                seen, _ = joint.reset(seed=int(rng.integers(2**31)))
            action = random_action(spec, seen.get("available_actions"), rng)
            seen, _, terminated, truncated, _ = joint.step(action)
        except ConfigError:
            raise
        except Exception:
            return rewards[:t]
        ended = terminated or truncated
        rewards[t] = [joint.rewards.get(agent, 0.0) for agent in agents]
        if time.monotonic() > deadline:
            return rewards[: t + 1]
    return rewards
