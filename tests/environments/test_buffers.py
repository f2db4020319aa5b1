"""Engines that fill the same arrays at each step: what is recorded is what was there then."""

import dataclasses

import gymnasium
import jax
import numpy as np
import pytest
from broken import on_host
from small import small_config

import opspo
from opspo.environments.base import EnvironmentSpec
from opspo.environments.entry import entered
from opspo.environments.joint import JointBatch, joint_spaces
from opspo.rollout import host
from opspo.training.assembly import make_learner

SPEC = dataclasses.replace(on_host.SPEC, outcomes=("distance",))


class Fresh(on_host.Batch):
    """New arrays each time, in the dtypes that come in as they are."""

    def observe(self):
        return self.cast(super().observe())

    def step(self, action):
        step, following = super().step(action)
        outcome = {"distance": np.abs(self.place).sum(1)}
        no = np.zeros(self.num_envs, bool)
        return self.cast(step.replace(outcome=outcome, lost=no)), following

    @staticmethod
    def cast(tree):
        return jax.tree.map(lambda x: x.astype(np.float32) if x.dtype == float else x, tree)


class Reusing(Fresh):
    """Two sets of arrays, for what came of a step and for what goes on."""

    def __init__(self, num_envs, seed):
        super().__init__(num_envs, seed)
        self.kept = {}

    def reset(self):
        return self.fill("following", super().reset())

    def step(self, action):
        step, following = super().step(action)
        return self.fill("step", step), self.fill("following", following)

    def fill(self, name, tree):
        kept = self.kept.setdefault(name, jax.tree.map(np.array, tree))
        for buffer, x in zip(jax.tree.leaves(kept), jax.tree.leaves(tree), strict=True):
            buffer[...] = x
        return kept


def changed(tree, before):
    """Whether each array is another than it was."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(before), strict=True)
    return [not np.array_equal(x, y) for x, y in pairs]


@pytest.mark.parametrize("agent_id", [False, True])
def test_what_has_come_in_is_not_written_over(agent_id):
    environment = on_host.of(Reusing, SPEC)()
    batch = entered(environment, agent_id=agent_id).open(3, 0)
    kept = [batch.reset(), *batch.step(np.zeros((3, 2), int))]
    before = jax.tree.map(np.array, kept)
    inner = batch._made._batch.kept
    for value in jax.tree.leaves(inner):
        value[...] = ~value if value.dtype == bool else value + 1
    assert not any(changed(kept, before))


def collected(batch):
    """A trajectory of 16 steps of 16 environments, over ends."""
    environment = on_host.of(batch, SPEC)()
    learner = make_learner(small_config("own", "mappo"), environment)
    state = jax.jit(learner.init)(0)
    group = learner.environment.open(16, 0)
    rollout = host.HostRollout([group], learner.team, num_steps=16, view=learner.critic.view)
    key = jax.random.PRNGKey(0)
    return rollout.collect(state.actor, host.start(state.rollout, [group]), key)


def test_it_trains_on_the_same():
    (_, found), (_, expected) = collected(Reusing), collected(Fresh)
    assert (
        expected.truncated.any() and (expected.observation[1:] != expected.observation[:-1]).any()
    )
    assert not any(changed(found, expected))


@pytest.mark.parametrize("max_steps", [1, 4, 10_000])
def test_it_is_checked_as_any_other(max_steps):
    """Kept as they are, the arrays would never have changed."""
    found, expected = (
        opspo.check_env(on_host.of(kind, SPEC)(), max_steps=max_steps) for kind in (Reusing, Fresh)
    )
    assert str(found) == str(expected)
    assert found.ok and all(note.kind == "no end seen" for note in found.notes)


class BackToLife(Reusing):
    def observe(self):
        return super().observe().replace(alive=np.full((self.num_envs, 2), self.t != 2))


def test_what_happens_from_step_to_step_is_seen():
    (problem,) = opspo.check_env(on_host.of(BackToLife, SPEC)()).problems
    assert problem.kind == "back to life" and problem.where.startswith("episode 1, step 3")


class Clock(gymnasium.Env):
    """A joint environment that says what time it is, in the same arrays each time."""

    SPEC = EnvironmentSpec("clock", 2, 1, 1, num_actions=2)

    def __init__(self):
        self.observation_space, self.action_space = joint_spaces(self.SPEC)
        self.seen = {name: np.ones(space.shape, space.dtype) for name, space in self.parts()}

    def parts(self):
        return self.observation_space.spaces.items()

    def reset(self, *, seed=None, options=None):
        return self.look(0), {}

    def step(self, action):
        return self.look(self.t + 1), 1.0, self.t == 3, False, {}

    def look(self, t):
        self.t = t
        for name in ("observation", "state"):
            self.seen[name][...] = t
        return self.seen


@pytest.mark.parametrize("workers", [False, True])
def test_an_end_in_a_joint_environment_is_not_the_next_start(workers):
    batch = JointBatch(Clock.SPEC, Clock, 2, 0, workers=workers)
    try:
        batch.reset()
        rows = [batch.step(np.zeros((2, 2), int)) for _ in range(4)]
    finally:
        batch.close()
    assert [step.observation.state[:, 0].tolist() for step, _ in rows] == [
        [t, t] for t in (1, 2, 3, 1)
    ]
    assert [following.observation[0, 1, 0] for _, following in rows] == [1, 2, 0, 1]
