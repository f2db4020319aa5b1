"""Environments with PettingZoo's parallel API."""

from __future__ import annotations

import copy
import threading

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from pettingzoo import ParallelEnv

import opspo
from broken import Case


class Sound(ParallelEnv):
    """Two walkers; nothing is wrong with it. The broken ones change one thing."""

    metadata = {"name": "walkers"}  # noqa: RUF012

    def __init__(self):
        self.possible_agents = ["walker_0", "walker_1"]
        self.rng = np.random.default_rng()

    def observation_space(self, agent):
        return Dict({"observation": Box(-50, 50, (3,)), "action_mask": Box(0, 1, (2,), np.int8)})

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.agents, self.t = list(self.possible_agents), 0
        self.place = dict(zip(self.agents, self.rng.normal(size=2), strict=True))
        return self.seen(self.agents), {agent: {} for agent in self.agents}

    def seen(self, agents):
        return {
            agent: {"observation": self.vector(agent), "action_mask": self.mask(agent)}
            for agent in agents
        }

    def vector(self, agent):
        return np.array([self.place[agent], self.t, 0], np.float32)

    def mask(self, agent):
        return np.ones(2, np.int8)

    def step(self, actions):
        self.t += 1
        for agent, action in actions.items():
            self.place[agent] += action
        acted = self.agents
        self.agents = self.staying()
        return (
            self.seen(acted),
            {agent: self.paid(agent) for agent in acted},
            {agent: self.fallen(agent) for agent in acted},
            dict.fromkeys(acted, self.t == 6),
            {agent: {} for agent in acted},
        )

    def staying(self):
        return [] if self.t == 6 else self.agents

    def paid(self, agent):
        return -abs(float(sum(self.place.values())))

    def fallen(self, agent):
        return False


def but(**methods):
    """`Sound` with other methods; their functions are given it first."""
    return type("Broken", (Sound,), methods)


def at(t, agent, broken, sound):
    """A method that gives something else at step t, for one agent."""

    def method(self, own):
        return (broken if self.t == t and own == agent else sound)(self, own)

    return method


def stepping(change):
    """`Sound` whose `step` returns a function of it and of what it would return."""

    class Broken(Sound):
        def step(self, actions):
            return change(self, super().step(actions))

    return Broken


def without(agent, part):
    """A change of a step that leaves out an agent from its part."""

    def change(self, returned):
        return tuple(
            {key: value for key, value in one.items() if i != part or key != agent}
            for i, one in enumerate(returned)
        )

    return change


class Plain(Sound):
    """Without masks."""

    def observation_space(self, agent):
        return Box(-50, 50, (3,))

    def seen(self, agents):
        return {agent: self.vector(agent) for agent in agents}


class Rich(Sound):
    """Many kinds of spaces; a mask for each of several decisions, in the infos."""

    def observation_space(self, agent):
        parts = {"sight": Box(-50, 50, (2, 2)), "room": Discrete(4, start=1)}
        return Dict(parts | {"bag": Tuple([MultiBinary(3), MultiDiscrete([2, 5])])})

    def action_space(self, agent):
        return MultiDiscrete([2, 3])

    def seen(self, agents):
        return {agent: self.vector(agent) for agent in agents}

    def vector(self, agent):
        sight = np.full((2, 2), self.place[agent])
        bag = (np.array([0, 1, self.t % 2]), np.array([1, 4]))
        return {"sight": sight, "room": 1 + self.t % 4, "bag": bag}

    def mask(self, agent):
        return (np.ones(2, np.int8), np.array([0, 1, 1], np.int8))

    def infos(self, agents):
        return {agent: {"action_mask": self.mask(agent)} for agent in agents}

    def reset(self, seed=None, options=None):
        seen, _ = super().reset(seed)
        return seen, self.infos(self.agents)

    def step(self, actions):
        for agent, action in actions.items():
            assert action[1] != 0 or not any(self.mask(agent)[1])
        returned = super().step({agent: action.sum() for agent, action in actions.items()})
        return *returned[:4], self.infos(returned[0])


class Apart(Rich):
    """What is decided in a Dict of a Discrete and a Tuple."""

    def action_space(self, agent):
        return Dict(move=Discrete(2), talk=Tuple((Discrete(3),)))

    def step(self, actions):
        moves = {a: np.array([one["move"], *one["talk"]]) for a, one in actions.items()}
        return Rich.step(self, moves)


def apart(mask):
    """`Apart` with another mask."""
    return type("Broken", (Apart,), {"mask": mask})


def rich_but(**parts):
    """`Rich` with other parts of the second walker's observation from step 2 on; None takes out."""

    def vector(self, agent):
        seen = Rich.vector(self, agent)
        if agent == "walker_1" and self.t >= 2:
            seen = seen | parts
        return {name: part for name, part in seen.items() if part is not None}

    return type("Broken", (Rich,), {"vector": vector})


class Leaves(Sound):
    """The second walker is away, as a function of the clock says."""

    def away(self):
        return self.t >= 3

    def staying(self):
        there = [a for a in self.possible_agents if a == "walker_0" or not self.away()]
        return [] if self.t == 6 else there


class ComesBack(Leaves):
    def away(self):
        return self.t == 3


class StaysListed(Sound):
    """Agents are listed after their end, as PettingZoo has it not."""

    def staying(self):
        return self.agents


class State(Sound):
    def state(self):
        return np.array([self.t, np.inf if self.t == 2 else 0.0])


class ResetOfGym(Sound):
    def reset(self, seed=None, options=None):
        return super().reset(seed)[0]


class NoSeed(Sound):
    def reset(self):
        return super().reset()


class Nobody(Sound):
    def reset(self, seed=None, options=None):
        returned = super().reset(seed)
        self.agents = []
        return returned


class Unseeded(Sound):
    def reset(self, seed=None, options=None):
        return super().reset()


class Raises(Sound):
    def step(self, actions):
        if self.t == 3:
            raise IndexError("no room left")
        return super().step(actions)


class WantsAll(Leaves):
    """It does not know that the other has left."""

    def step(self, actions):
        self.last = [actions[agent] for agent in self.possible_agents]
        return super().step(actions)


class Endless(Sound):
    def staying(self):
        return self.agents

    def step(self, actions):
        *rest, truncated, info = super().step(actions)
        return *rest, dict.fromkeys(truncated, False), info


class Mixed(Plain):
    def action_space(self, agent):
        return Discrete(2) if agent == "walker_0" else Box(-1, 1, (1,))


class InTurn:
    possible_agents = ("walker_0",)

    def agent_iter(self):
        yield "walker_0"


class NoClose:
    def __init__(self):
        inner = Sound()
        self.possible_agents = inner.possible_agents
        self.reset, self.step = inner.reset, inner.step
        self.observation_space, self.action_space = inner.observation_space, inner.action_space


class Stuck(Sound):
    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


def unmade():
    raise ImportError("no game")


class Alone(gymnasium.Env):
    pass


STRANGER = {"wolf": 1.0}

CASES = {
    "NaN in an observation": Case(
        but(vector=at(3, "walker_1", lambda s, a: np.full(3, np.nan), Sound.vector)),
        "not finite: observation",
        ("The observation['observation'] is not finite: nan",),
        "episode 1, step 3, agent 'walker_1'",
    ),
    "observation outside of its space": Case(
        but(vector=at(2, "walker_1", lambda s, a: np.zeros(4), Sound.vector)),
        "observation and space",
        ("The observation['observation'] has shape [4], but its space is Box(", "(3,)"),
        "episode 1, step 2, agent 'walker_1'",
    ),
    "a room that is not there": Case(
        rich_but(room=7),
        "observation and space",
        ("The observation['room'] is 7, which is not in Discrete(4, start=1)",),
        "episode 1, step 2, agent 'walker_1'",
    ),
    "a part left out": Case(
        rich_but(room=None),
        "observation and space",
        ("The observation['room'] is missing", "Discrete(4, start=1)"),
        "episode 1, step 2, agent 'walker_1'",
    ),
    "half a tuple": Case(
        rich_but(bag=(np.zeros(3, int),)),
        "observation and space",
        ("The observation['bag'][1] is missing", "MultiDiscrete"),
        "episode 1, step 2, agent 'walker_1'",
    ),
    "words in a part": Case(
        rich_but(sight="a wall"),
        "observation and space",
        ("The observation['sight'] is not an array of numbers, but 'a wall'",),
        "episode 1, step 2, agent 'walker_1'",
    ),
    "one decision without a choice": Case(
        type("Broken", (Rich,), {"mask": lambda self, agent: (np.ones(2), np.zeros(3))}),
        "no action: alive",
        ("The `action_mask` leaves no available action",),
        "episode 1, at the reset, agent 'walker_0'",
    ),
    "a part of an action without a choice": Case(
        apart(lambda self, agent: (np.ones(2), np.array([0, 1, 1]) * (self.t != 2))),
        "no action: alive",
        ("The `action_mask` leaves no available action",),
        "episode 1, step 2, agent 'walker_0'",
    ),
    "a mask without a part of the action": Case(
        apart(lambda self, agent: np.ones(2, np.int8)),
        "shape: available_actions",
        ("its action mask has 2 entries", "5 choices"),
        "episode 1, at the reset, agent 'walker_0'",
    ),
    "an infinite state": Case(
        State, "not finite: state", ("`state()` is not finite",), "episode 1, step 2"
    ),
    "mask too long": Case(
        but(mask=lambda self, agent: np.ones(3, np.int8)),
        "shape: available_actions",
        (
            "The `action_mask` does not fit",
            "Discrete(2): its action mask has 3 entries",
            "2 choices",
        ),
        "episode 1, at the reset, agent 'walker_0'",
    ),
    "nothing available": Case(
        but(mask=at(2, "walker_1", lambda s, a: np.zeros(2, np.int8), Sound.mask)),
        "no action: alive",
        ("The `action_mask` leaves no available action",),
        "episode 1, step 2, agent 'walker_1'",
    ),
    "infinite reward": Case(
        but(paid=at(2, "walker_1", lambda s, a: float("inf"), Sound.paid)),
        "not finite: reward",
        ("The reward is not finite: inf",),
        "episode 1, step 2, agent 'walker_1'",
    ),
    "rewards of an agent": Case(
        but(paid=at(2, "walker_1", lambda s, a: np.zeros(2), Sound.paid)),
        "shape: reward",
        ("The reward is array([0., 0.]), not a number",),
        "episode 1, step 2, agent 'walker_1'",
    ),
    "nothing paid": Case(
        stepping(without("walker_1", 1)),
        "left out: rewards",
        ("`rewards` has no entry for agent 'walker_1', which acted",),
        "episode 1, step 1, agent 'walker_1'",
    ),
    "no flag": Case(
        stepping(without("walker_1", 3)),
        "left out: truncations",
        ("`truncations` has no entry for agent 'walker_1'",),
        "episode 1, step 1, agent 'walker_1'",
    ),
    "nothing seen": Case(
        stepping(without("walker_1", 0)),
        "left out: observations",
        ("`observations` has no entry for agent 'walker_1', which is in `agents`",),
        "episode 1, step 1, agent 'walker_1'",
    ),
    "flag of numbers": Case(
        but(fallen=lambda self, agent: 0),
        "dtype: terminations",
        ("`terminations` holds 0, which is not boolean",),
        "episode 1, step 1, agent 'walker_0'",
    ),
    "back to life": Case(
        ComesBack,
        "back to life",
        ("Agent 'walker_1' is in `agents`, but was not one step before", "until the next `reset`"),
        "episode 1, step 4, agent 'walker_1'",
    ),
    "a stranger": Case(
        stepping(lambda self, step: (step[0], step[1] | STRANGER, *step[2:])),
        "strangers",
        ("`rewards` has 'wolf', which is not among `possible_agents`",),
        "episode 1, step 1",
    ),
    "nobody there": Case(
        Nobody, "nobody", ("`agents` is empty after `reset`",), "episode 1, at the reset"
    ),
    "Gym's reset": Case(
        ResetOfGym,
        "returns: reset",
        ("`reset` returns a value of type dict, not a tuple of 2", "(observations, infos)"),
        "episode 1, at the reset",
    ),
    "reset without a seed": Case(
        NoSeed,
        "raises: `reset`",
        ("`reset` raises TypeError", "'seed'", "called with `seed=`"),
        "episode 1, at the reset",
    ),
    "Gym's step": Case(
        stepping(lambda self, step: step[:4]),
        "returns: step",
        ("`step` returns a tuple of 4, not a tuple of 5", "terminations, truncations"),
        "episode 1, step 1",
    ),
    "one reward for all": Case(
        stepping(lambda self, step: (step[0], 1.0, *step[2:])),
        "returns: step",
        ("`rewards` of `step` is a value of type float, not a dictionary by agent",),
        "episode 1, step 1",
    ),
    "raises": Case(
        Raises,
        "raises: `step`",
        ("`step` raises IndexError: no room left", "in_pettingzoo.py", "in step"),
        "episode 1, step 4",
    ),
    "acts for who has left": Case(
        WantsAll,
        "raises: `step`",
        ("`step` raises KeyError: 'walker_1'", "an action for each of `agents`"),
        "episode 1, step 4",
    ),
    "seed without effect": Case(
        Unseeded,
        "not deterministic",
        ("Two plays with the same seed and the same actions differ", "in the observation"),
        "episode 1, at the reset",
    ),
    "never ends": Case(
        Endless,
        "never ends",
        ("has not ended after 50 steps", "`truncations[agent]`"),
        "episode 1, step 50",
    ),
    "choices beside numbers": Case(
        Mixed, "refused", ("some agents have discrete actions, others continuous ones",)
    ),
    "agents in turn": Case(InTurn, "turns", ("act in turn", "aec_to_parallel")),
    "no close": Case(NoClose, "missing", ("The environment has no `close`",)),
    "cannot be made": Case(
        unmade, "raises: Making the environment", ("ImportError: no game", "in unmade")
    ),
    "a single agent": Case(Alone, "single agent", ("one agent and no team",)),
    "adapted before": Case(
        lambda: opspo.from_pettingzoo(but(fallen=lambda self, agent: 1.0)),
        "dtype: terminations",
        ("`terminations` holds 1.0, which is not boolean",),
        "episode 1, step 1, agent 'walker_0'",
    ),
}

NOTES = {
    "beyond the bounds": Case(
        but(vector=at(2, "walker_1", lambda s, a: np.full(3, 99), Sound.vector)),
        "beyond the bounds",
        ("has 99, beyond the bounds of Box(", "Widen"),
        "episode 1, step 2, agent 'walker_1'",
    ),
}

SOUND = {
    "a class": Sound,
    "without masks": Plain,
    "many spaces": Rich,
    "a Dict of actions": Apart,
    "who leaves": Leaves,
    "listed after the end": StaysListed,
    "an environment": Sound(),
    "a copy": lambda: copy.deepcopy(Sound()),
    "adapted": opspo.from_pettingzoo(Sound),
}
