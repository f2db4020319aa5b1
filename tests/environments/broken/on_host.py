"""Environments that are stepped outside of JAX."""

from __future__ import annotations

import dataclasses
import os

import gymnasium
import numpy as np

from broken import Case
from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.environments.joint import JointBatch, joint_spaces
from opspo.errors import EngineError

SPEC = EnvironmentSpec(
    "rooms", num_agents=2, observation_size=3, state_size=4, num_actions=3, episode_limit=6
)


class Batch:
    """Two agents in a room; nothing is wrong with it. The broken ones change one thing."""

    lost_episodes = 0

    def __init__(self, num_envs, seed):
        self.num_envs, self.rng = num_envs, np.random.default_rng(seed)

    def reset(self):
        self.t = 0
        self.place = self.draw(size=(self.num_envs, 2))
        return self.observe()

    def draw(self, size):
        return self.rng.normal(size=size)

    def observe(self):
        clock = np.full((self.num_envs, 2), self.t / 6)
        return Observation(
            observation=np.stack([self.place, self.place[:, ::-1], clock], -1),
            state=np.concatenate([self.place, clock], -1),
            available_actions=np.ones((self.num_envs, 2, 3), bool),
            alive=np.ones((self.num_envs, 2), bool),
        )

    def step(self, action):
        self.t += 1
        self.place = self.place + action - 1
        no = np.zeros(self.num_envs, bool)
        step = Step(self.observe(), -np.abs(self.place).sum(1), no, no | (self.t == 6), no)
        return step, self.reset() if self.t == 6 else step.observation

    def close(self):
        pass


class Sound:
    spec = SPEC
    batch = Batch

    def open(self, num_envs, seed):
        return self.batch(num_envs, seed)


def of(batch, spec=SPEC):
    """An environment of such batches."""

    class Broken(Sound):
        pass

    Broken.batch, Broken.spec = batch, spec
    return Broken


def seeing(change):
    """`Sound` with observations changed by a function of the batch and of them."""

    class Broken(Batch):
        def observe(self):
            seen = super().observe()
            return seen.replace(**change(self, seen))

    return of(Broken)


def answering(change):
    """`Sound` with steps changed by a function of the batch and of them."""

    class Broken(Batch):
        def step(self, action):
            step, following = super().step(action)
            return step.replace(**change(self, step)), following

    return of(Broken)


class NoClose:
    lost_episodes = 0

    def __init__(self, num_envs, seed):
        batch = Batch(num_envs, seed)
        self.reset, self.step = batch.reset, batch.step


class NoCount:
    def __init__(self, num_envs, seed):
        batch = Batch(num_envs, seed)
        self.reset, self.step, self.close = batch.reset, batch.step, batch.close


class Global(Batch):
    def __init__(self, num_envs, seed):
        super().__init__(num_envs, seed)
        np.random.seed(seed)

    def draw(self, size):
        return np.random.normal(size=size)


class Shared(Batch):
    """Its generator is one for all that are open, and starts anew with each."""

    def __init__(self, num_envs, seed):
        self.num_envs, Shared.rng = num_envs, np.random.default_rng(seed)


class Raises(Batch):
    def step(self, action):
        if self.t == 3:
            raise ZeroDivisionError("no time left")
        return super().step(action)


class RaisesAtTheEnd(Batch):
    def reset(self):
        if hasattr(self, "t"):
            raise FileNotFoundError("map.txt")
        return super().reset()


class RaisesAtOnce(Batch):
    def reset(self):
        raise ConnectionError("no server")


class GivesUp(Batch):
    def step(self, action):
        raise EngineError("the licence has expired")


class RaisesOnClose(Batch):
    def close(self):
        raise OSError("already closed")


class StepOfGym(Batch):
    def step(self, action):
        step, _ = super().step(action)
        return step.observation, step.reward, step.terminated, step.truncated, {}


class StepAlone(Batch):
    def step(self, action):
        return super().step(action)[0]


class Another(Batch):
    def step(self, action):
        step, following = super().step(action)
        moved = following.replace(observation=following.observation + (self.t == 2))
        return step, moved


class ResetsByItself(Batch):
    def step(self, action):
        step, following = super().step(action)
        return step.replace(observation=following), following


class Licensed(Sound):
    def open(self, num_envs, seed):
        raise PermissionError("no licence")


class Once(Sound):
    def __init__(self):
        self.opened = 0

    def open(self, num_envs, seed):
        self.opened += 1
        if self.opened > 1:
            raise OSError("the port is taken")
        return super().open(num_envs, seed)


class Nothing(Sound):
    def open(self, num_envs, seed):
        return None


class Joint(gymnasium.Env):
    """In some episodes its process is gone at the fourth step."""

    def __init__(self):
        self.observation_space, self.action_space = joint_spaces(SPEC)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.doomed = 0, self.np_random.random() < 0.5
        return self._look(), {}

    def step(self, action):
        self.t += 1
        if self.t == 4 and self.doomed:
            os._exit(1)
        return self._look(), 1.0, False, self.t == 6, {}

    def _look(self):
        return {
            "observation": np.full((2, 3), self.t, np.float32),
            "state": np.full(4, self.t, np.float32),
            "alive": np.ones(2, np.int8),
            "available_actions": np.ones((2, 3), np.int8),
        }


class RaisingJoint(Joint):
    def step(self, action):
        if self.t == 3:
            raise LookupError("a page is missing")
        return super().step(action)


class Dies(Sound):
    joint = Joint

    def open(self, num_envs, seed):
        return JointBatch(SPEC, self.joint, num_envs, seed, workers=True)


class RaisesInWorkers(Dies):
    joint = RaisingJoint


CASES = {
    "reward in a list": Case(
        answering(lambda batch, step: {"reward": step.reward.tolist()}),
        "shape: reward",
        ("`Step.reward` is of type list, not an array", "shape [3]"),
        "`step`",
    ),
    "reward of each agent": Case(
        answering(lambda batch, step: {"reward": batch.place}),
        "shape: reward",
        ("`Step.reward` has shape [3, 2]", "the agents' mean or sum"),
        "`step`",
    ),
    "reward of one environment": Case(
        answering(lambda batch, step: {"reward": step.reward[0]}),
        "shape: reward",
        ("`Step.reward` has shape []", "axis for the environments", "the batch has 3"),
        "`step`",
    ),
    "objects": Case(
        seeing(lambda batch, seen: {"state": seen.state.astype(object)}),
        "dtype: state",
        ("`Observation.state` is object, not real numbers",),
        "`reset`",
    ),
    "words": Case(
        seeing(lambda batch, seen: {"observation": np.full((3, 2, 3), "left")}),
        "dtype: observation",
        ("`Observation.observation` is <U4, not real numbers",),
        "`reset`",
    ),
    "another shape from a step on": Case(
        seeing(lambda batch, seen: {"state": seen.state[:, : 4 - (batch.t == 3)]}),
        "shape: state",
        ("`Observation.state` has shape [3, 3]", "[3, 4] = [E, s]"),
        "`step`",
    ),
    "NaN in an observation": Case(
        seeing(
            lambda batch, seen: {"observation": np.where(batch.t == 2, np.nan, seen.observation)}
        ),
        "not finite: observation",
        ("`Observation.observation` is not finite",),
        "episode 1, step 2, agent 0, feature 0",
    ),
    "nothing available": Case(
        seeing(lambda batch, seen: {"available_actions": np.zeros((3, 2, 3), bool)}),
        "no action: alive",
        ("leaves an agent no available action",),
        "episode 1, at the reset, agent 0",
    ),
    "lost and going on": Case(
        answering(lambda batch, step: {"lost": np.arange(3) == batch.t}),
        "lost and going on",
        ("`Step.lost` is set at a step that is not truncated",),
        "episode 2, step 1",
    ),
    "no close": Case(of(NoClose), "missing: batch", ("has no `close`", "HostBatch")),
    "no count of the lost": Case(
        of(NoCount), "missing: batch", ("has no `lost_episodes`", "HostBatch")
    ),
    "no batch": Case(
        Nothing,
        "missing: batch",
        ("What `open` returns has no `reset`, `step`, `close`, `lost_episodes`",),
    ),
    "global random numbers": Case(
        of(Global),
        "not deterministic",
        ("differ, first in `Observation.observation`", "global"),
        "episode 1, at the reset",
    ),
    "random numbers of all": Case(
        of(Shared), "not deterministic", ("share nothing",), "episode 1, at the reset"
    ),
    "raises": Case(
        of(Raises),
        "raises: `step`",
        ("ZeroDivisionError: no time left", "on_host.py", "in step"),
        "episode 1, step 4 or episode 2, step 4",
    ),
    "raises at an end": Case(
        of(RaisesAtTheEnd),
        "raises: `step`",
        ("FileNotFoundError: map.txt", "in reset", "whenever it is called"),
        "episode 1, step 6",
    ),
    "raises at the reset": Case(
        of(RaisesAtOnce),
        "raises: `reset`",
        ("`reset` raises ConnectionError: no server", "in reset"),
        "episode 1",
    ),
    "gives up": Case(
        of(GivesUp),
        "raises: `step`",
        ("`step` cannot continue: the licence has expired.",),
        "episode 1",
    ),
    "raises on close": Case(
        of(RaisesOnClose), "raises: `close`", ("`close` raises OSError: already closed",)
    ),
    "does not open": Case(Licensed, "raises: `open`", ("PermissionError: no licence", "in open")),
    "opens once": Case(
        Once, "raises: `open`, called a second time,", ("OSError: the port is taken",)
    ),
    "Gym's step": Case(of(StepOfGym), "returns: step", ("a tuple of 5", "(Step, Observation)")),
    "step alone": Case(
        of(StepAlone), "returns: step", ("a value of type Step", "(Step, Observation)")
    ),
    "two observations": Case(
        of(Another),
        "two observations",
        ("the observation to continue from is not the step's",),
        "episode 1, step 2",
    ),
    "a worker dies": Case(
        Dies, "worker died", ("worker died", "episode was lost", "workers=False"), "episode 1"
    ),
    "beyond its limit": Case(
        of(Batch, dataclasses.replace(SPEC, episode_limit=4)),
        "beyond the limit",
        ("continues after step 4",),
        "episode 1, step 4",
    ),
}

NOTES = {
    "resets by itself": Case(
        of(ResetsByItself), "resets by itself", ("At the end of every episode", "true last one")
    ),
    "large numbers": Case(
        answering(lambda batch, step: {"reward": step.reward - 2e9}),
        "large: reward",
        ("`Step.reward` reaches 2e+09",),
    ),
}

SOUND = {"on a host": Sound}
