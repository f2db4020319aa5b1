"""Where episodes end, whoever says so, and that every seed begins its own."""

import signal
import time

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from counting import LIMIT, iterate, make, where
from small import small_config
from starcraft import AGENTS, ENEMIES, StarCraft2Env

import opspo
from opspo.environments import make_env
from opspo.environments.base import EnvironmentSpec
from opspo.environments.joint import JointBatch, joint_spaces
from opspo.environments.seeding import spread
from opspo.evaluate import make_evaluator
from opspo.training.assembly import make_learner


@where
def test_the_specified_limit_cuts_episodes_that_never_end(where):
    environment = make(where, ends=False)
    episodes = iterate(environment, small_config("own", "mappo", epochs=1))["episodes"]
    assert episodes["episodes"] == 16 * (16 // LIMIT)
    assert (episodes["episode_length"], episodes["episode_return"]) == (LIMIT, LIMIT)
    learner = make_learner(small_config("own"), environment)
    evaluator = make_evaluator(learner.environment, learner.team, episodes=18, greedy=True)
    assert set(evaluator(learner.init(0).actor, 0).lengths) == {LIMIT}


@where
def test_a_cut_at_the_limit_is_a_truncation(where):
    config = small_config("own", "mappo", epochs=1)
    learner = make_learner(config, make(where, ends=False))
    state = learner.init(0)
    if where == "jax":
        _, trajectory = learner.collect(state, jax.random.PRNGKey(0))
        truncated, terminated = trajectory.truncated, trajectory.terminated
    else:
        batch = learner.environment.open(16, 0)
        batch.reset()
        steps = [batch.step(np.zeros((16, 2), int))[0] for _ in range(16)]
        truncated, terminated = (
            np.stack([getattr(step, name) for step in steps])
            for name in ("truncated", "terminated")
        )
    assert not np.any(terminated)
    expected = (np.arange(16) + 1) % LIMIT == 0
    np.testing.assert_array_equal(truncated, np.broadcast_to(expected[:, None], (16, 16)))


class Endless(gymnasium.Env):
    """A joint environment that never ends by itself."""

    SPEC = EnvironmentSpec("endless", 2, 4, 4, num_actions=2, episode_limit=LIMIT)

    def __init__(self):
        self.observation_space, self.action_space = joint_spaces(self.SPEC)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.look(), {}

    def step(self, action):
        self.t += 1
        return self.look(), 1.0, False, False, {}

    def look(self):
        return {
            "observation": np.full((2, 4), self.t, np.float32),
            "state": np.full(4, self.t, np.float32),
            "alive": np.ones(2, np.int8),
            "available_actions": np.ones((2, 2), np.int8),
        }


@pytest.mark.parametrize("workers", [False, True])
def test_a_joint_environment_is_reset_at_the_limit(workers):
    batch = JointBatch(Endless.SPEC, Endless, 2, 0, workers=workers)
    try:
        batch.reset()
        for t in range(1, 2 * LIMIT + 1):
            step, following = batch.step(np.zeros((2, 2), int))
            assert (step.truncated == (t % LIMIT == 0)).all()
            assert not step.terminated.any()
            assert (following.state == t % LIMIT).all()
            assert (step.observation.state == (t - 1) % LIMIT + 1).all()
    finally:
        batch.close()


@where
def test_an_evaluation_without_any_limit_comes_to_its_end(where):
    learner = make_learner(small_config("own"), make(where, ends=False, episode_limit=0))
    evaluator = make_evaluator(
        learner.environment, learner.team, episodes=3, greedy=True, episode_limit=70
    )
    assert evaluator(learner.init(0).actor, 0).lengths == (70, 70, 70)


def test_an_evaluation_in_jax_can_be_interrupted(monkeypatch):
    """Between two calls Python handles signals; one compiled loop would not end for Ctrl-C."""
    monkeypatch.setattr("opspo.evaluate.SLICE", 1000)
    learner = make_learner(small_config("own"), make("jax", ends=False, episode_limit=0))
    evaluator = make_evaluator(
        learner.environment, learner.team, episodes=2, greedy=True, episode_limit=2**30
    )
    actor = learner.init(0).actor
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 4)
    begin = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            evaluator(actor, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begin < 60


# ------------------------------------------------------------------------------------ seeds


def first_looks(environment, seed):
    """What 16 environments of an evaluation begin with, a row each."""
    if hasattr(environment, "open"):
        batch = environment.open(16, seed)
        try:
            return np.asarray(batch.reset().state)
        finally:
            batch.close()
    from opspo.evaluate import episode_keys

    keys = jax.vmap(lambda i: episode_keys(seed, i)[0])(jnp.arange(16))
    return np.asarray(jax.vmap(environment.reset)(keys)[1].state)


class Unlike(StarCraft2Env):
    """SMAC's stand-in with a start of its own for each seed; the plain one has four."""

    def get_state(self):
        field = self.field
        return np.random.default_rng([field.seed, field.battles]).random(AGENTS + ENEMIES)


@pytest.mark.parametrize(
    "env",
    [
        pytest.param(opspo.from_smac(Unlike, workers=False), id="from_smac"),
        "smax/3m",
        "jaxmarl/MPE_simple_spread_v3",
        "mamujoco/Hopper-3x1",
        "mamujoco/HalfCheetah-6x1",
        "pettingzoo/mpe2.simple_spread_v3",
    ],
)
def test_neighbouring_seeds_share_no_episodes(env):
    environment = make_env(env) if isinstance(env, str) else env
    seen = [first_looks(environment, seed) for seed in (0, 1, 2)]
    np.testing.assert_array_equal(seen[0], first_looks(environment, 0))
    rows = {row.tobytes() for looks in seen for row in looks}
    assert len(rows) == 3 * 16


def test_seeds_are_spread():
    drawn = [seed for start in range(50) for seed in spread(start, 50)]
    assert len(set(drawn)) == 2500
    assert 0 <= min(drawn) <= max(drawn) < 2**31
    assert spread(7, 3) == spread(7, 5)[:3] == spread(7, 3)
