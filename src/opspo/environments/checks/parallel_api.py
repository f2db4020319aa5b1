"""Environments with PettingZoo's parallel API, checked in its own terms while they are played."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from opspo.environments.checks.dictionaries import (
    check_flags,
    check_mask,
    check_observation,
    check_reward,
)
from opspo.environments.checks.findings import Recorder
from opspo.environments.checks.shapes import found_kind
from opspo.environments.frames import described, user_frames

NEEDED = ("possible_agents", "reset", "step", "observation_space", "action_space", "close")
STEP = ("observations", "rewards", "terminations", "truncations", "infos")


def lacks(environment: Any, recorder: Recorder) -> bool:
    """Whether the environment lacks part of the parallel API; if so, record it."""
    if hasattr(environment, "agent_iter") or hasattr(environment, "agent_selection"):
        recorder.problem(
            "turns",
            "Its agents act in turn (PettingZoo's AEC API), but opspo steps all simultaneously.",
            "Wrap it: `pettingzoo.utils.conversions.aec_to_parallel(environment)`.",
        )
        return True
    missing = [name for name in NEEDED if not hasattr(environment, name)]
    if missing:
        recorder.problem(
            "missing",
            f"The environment has no {', '.join(f'`{name}`' for name in missing)}.",
            "Every environment with PettingZoo's parallel API has "
            f"{', '.join(f'`{name}`' for name in NEEDED)}.",
        )
    return bool(missing)


def spied(make: Callable[[], Any], recorder: Recorder) -> Callable[[], Any]:
    """A factory of the same environments that records whatever does not fit."""
    return lambda: Spy(make(), recorder)


class Spy:
    """A parallel environment that checks everything that passes through it."""

    def __init__(self, environment: Any, recorder: Recorder) -> None:
        self._environment = environment
        self._recorder = recorder
        self._episode = self._time = 0
        self._out: set[Any] = set()
        """Agents that are terminated, truncated or no longer listed"""

    def __getattr__(self, name: str) -> Any:
        """Pass any other attribute through."""
        return getattr(self._environment, name)

    def reset(self, *arguments: Any, **named: Any) -> Any:
        """Start an episode and check what `reset` returns."""
        self._episode += bool(self._time) or not self._episode  # no steps: not counted
        self._time, self._out = 0, set()
        returned = self._call("reset", *arguments, **named)
        if self._parts("reset", returned, ("observations", "infos")):
            observations, infos = returned
            agents = self._listed()
            self._out = set(self._environment.possible_agents) - set(agents)
            if not agents:
                self._problem(
                    "nobody",
                    "`agents` is empty after `reset`.",
                    "Set it to the agents that take part: `self.agents = self.possible_agents[:]`.",
                )
            self._look(agents, observations, infos)
        return returned

    def step(self, actions: Mapping[Any, Any]) -> Any:
        """Take a step and check what it returns."""
        self._time += 1
        before = self._listed()
        acting = [agent for agent in before if agent not in self._out]
        returned = self._call("step", actions)
        if self._parts("step", returned, STEP):
            observations, rewards, terminations, truncations, infos = returned
            self._paid(acting, rewards)
            self._ends(acting, terminations, truncations)
            self._back(before)
            present = [agent for agent in self._listed() if agent not in self._out]
            self._look(present, observations, infos)
        return returned

    def state(self) -> Any:
        """Get the environment's state and check it."""
        state = self._environment.state()
        try:
            values = np.asarray(state, np.float64)
        except (TypeError, ValueError):
            return state
        if not np.isfinite(values).all():
            self._problem(
                "not finite: state",
                "`state()` is not finite.",
                "Look for a division by 0, a logarithm of 0 or an overflow where it is computed.",
            )
        return state

    def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        try:
            return getattr(self._environment, name)(*arguments, **named)
        except Exception as error:
            self._recorder.problem(
                f"raises: `{name}`",
                f"`{name}` raises {described(error)}.",
                "`reset` is called with `seed=`, and `step` with an action for each of `agents`, "
                "until all are terminated or truncated."
                if isinstance(error, TypeError | KeyError)
                else "It must not raise before the episode is over.",
                where=self._where(),
                trace=user_frames(error),
            )
            raise

    def _parts(self, name: str, returned: Any, expected: tuple[str, ...]) -> bool:
        """Whether the call returned the expected dictionaries."""
        api = f"`{name}` returns ({', '.join(expected)}), each a dictionary by agent."
        if not isinstance(returned, tuple | list) or len(returned) != len(expected):
            self._problem(
                f"returns: {name}",
                f"`{name}` returns {found_kind(returned)}, not a tuple of {len(expected)}.",
                f"In PettingZoo's parallel API, {api}",
            )
            return False
        for part, value in zip(expected, returned, strict=True):
            if not isinstance(value, Mapping):
                self._problem(
                    f"returns: {name}",
                    f"`{part}` of `{name}` is {found_kind(value)}, not a dictionary by agent.",
                    f"In PettingZoo's parallel API, {api}",
                )
                return False
            self._strangers(part, value)
        return True

    def _strangers(self, part: str, by_agent: Mapping[Any, Any]) -> None:
        possible = list(self._environment.possible_agents)
        unknown = [agent for agent in by_agent if agent not in possible]
        if unknown:
            self._problem(
                "strangers",
                f"`{part}` has {unknown[0]!r}, which is not among `possible_agents`, {possible}.",
                "List there every agent that may ever take part, by the same name.",
            )

    def _listed(self) -> list[Any]:
        listed = list(self._environment.agents)
        self._strangers("agents", dict.fromkeys(listed))
        return listed

    def _paid(self, acting: list[Any], rewards: Mapping[Any, Any]) -> None:
        for agent in acting:
            if self._has(agent, "rewards", rewards):
                check_reward(self._recorder, rewards[agent], self._where(agent))

    def _ends(
        self, acting: list[Any], terminations: Mapping[Any, Any], truncations: Mapping[Any, Any]
    ) -> None:
        parts = {"terminations": terminations, "truncations": truncations}
        for agent in acting:
            there = [self._has(agent, name, flags) for name, flags in parts.items()]
            if not all(there):
                continue
            flags = {name: flags[agent] for name, flags in parts.items()}
            check_flags(self._recorder, flags, self._where(agent))
            if any(bool(np.any(flag)) for flag in flags.values()):
                self._out.add(agent)

    def _has(self, agent: Any, part: str, by_agent: Mapping[Any, Any]) -> bool:
        if agent in by_agent:
            return True
        self._problem(
            f"left out: {part}",
            f"`{part}` has no entry for agent {agent!r}, which acted.",
            "Return one for each agent that acted, also at its last step.",
            agent,
        )
        return False

    def _back(self, before: list[Any]) -> None:
        """Report agents that are listed although they had left, or were never there."""
        listed = self._listed()
        for agent in listed:
            if agent not in before:
                self._problem(
                    "back to life",
                    f"Agent {agent!r} is in `agents`, but was not one step before.",
                    "All agents are there at the start, and one that leaves stays out until the "
                    "next `reset`. To idle an agent for a while, keep it in `agents` with an "
                    "`action_mask` that leaves one action.",
                    agent,
                )
        self._out |= set(before) - set(listed)

    def _look(
        self, agents: list[Any], observations: Mapping[Any, Any], infos: Mapping[Any, Any]
    ) -> None:
        """Check the observations and masks of the agents that continue to play."""
        for agent in agents:
            if agent not in observations:
                self._problem(
                    "left out: observations",
                    f"`observations` has no entry for agent {agent!r}, which is in `agents`.",
                    "Return one for each agent in it.",
                    agent,
                )
                continue
            space, action = (
                getattr(self._environment, name)(agent)
                for name in ("observation_space", "action_space")
            )
            where = self._where(agent)
            check_observation(self._recorder, space, observations[agent], where)
            check_mask(self._recorder, action, observations[agent], infos.get(agent), where)

    def _problem(self, kind: str, what: str, fix: str, agent: Any = None) -> None:
        self._recorder.problem(kind, what, fix, where=self._where(agent))

    def _where(self, agent: Any = None) -> str:
        time = f"step {self._time}" if self._time else "at the reset"
        return f"episode {self._episode}, {time}" + ("" if agent is None else f", agent {agent!r}")
