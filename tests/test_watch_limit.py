"""A film ends where the evaluation does, also if the environment never says so."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from hosts import Batch, OnHost
from PIL import Image
from small import small_config

import opspo
from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.rendering.record import END, NOT_WON, STOPPED
from opspo.training.evaluate_run import evaluate_run


class Endless:
    """Pays 1 a step and never ends. In JAX."""

    def __init__(self, episode_limit, *, has_win=False):
        self.spec = EnvironmentSpec(
            "endless", 2, 4, 4, num_actions=2, episode_limit=episode_limit, has_win=has_win
        )

    def reset(self, key):
        return jnp.array(0), self.observe(jnp.array(0))

    def step(self, key, state, action):
        no = jnp.array(False)
        return state + 1, Step(self.observe(state + 1), jnp.array(1.0), no, no, no)

    def observe(self, t):
        seen = jnp.full(4, t, jnp.float32)
        every = jnp.ones((2, 2), bool)
        return Observation(jnp.tile(seen, (2, 1)), seen, every, jnp.ones(2, bool))

    def frame(self, state):
        return np.full((30, 40, 3), 10 * int(state), np.uint8)


class EndlessOnHost(OnHost):
    def __init__(self, *arguments, **named):
        self.inner = Endless(*arguments, **named)
        self.spec = self.inner.spec

    def open(self, num_envs, seed):
        return FilmedBatch(self.inner, num_envs, seed)


class FilmedBatch(Batch):
    def frame(self):
        return self.environment.frame(self.state[0])

    def __init__(self, inner, num_envs, seed):
        super().__init__(inner, num_envs, seed)
        self.environment = inner


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("endless") / "run"
    config = small_config("endless", "mappo", epochs=1)
    evaluation = dataclasses.replace(config.evaluation, episode_limit=7, final_episodes=1)
    config = dataclasses.replace(config, evaluation=evaluation, total_steps=256, run_dir=str(path))
    opspo.train(config, environment=Endless(5))
    return path


@pytest.mark.parametrize("kind", [Endless, EndlessOnHost])
@pytest.mark.parametrize(("of_environment", "expected"), [(5, 5), (0, 7)])
def test_a_film_is_cut_at_the_limit_of_the_evaluation(
    kind, of_environment, expected, run_dir, tmp_path
):
    environment = kind(of_environment)
    tally = opspo.watch(run_dir, tmp_path / "a.gif", environment=environment)
    evaluation = evaluate_run(run_dir, episodes=1, seed=0, environment=environment)
    assert evaluation.lengths == (expected,)
    assert (tally.step, tally.total, tally.ending) == (expected, *evaluation.returns, END)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == expected + 1


@pytest.mark.parametrize(("max_steps", "steps", "ending"), [(4, 4, STOPPED), (5, 5, NOT_WON)])
def test_what_comes_first_ends_it(max_steps, steps, ending, run_dir, tmp_path):
    environment = Endless(5, has_win=True)
    tally = opspo.watch(run_dir, tmp_path / "a.gif", environment=environment, max_steps=max_steps)
    assert (tally.step, tally.ending) == (steps, ending)


def test_an_engine_of_pettingzoo_without_an_end_is_cut(tmp_path):
    """It has no limit that opspo knows of."""
    from mpe2 import simple_spread_v3

    def make():
        return simple_spread_v3.parallel_env(max_cycles=10**9, render_mode="rgb_array")

    environment = opspo.from_pettingzoo(make, name="spread")
    config = small_config("spread", "mappo", epochs=1)
    evaluation = dataclasses.replace(config.evaluation, episode_limit=6, final_episodes=0)
    config = dataclasses.replace(
        config, evaluation=evaluation, total_steps=256, run_dir=str(tmp_path / "run")
    )
    opspo.train(config, environment=environment)
    tally = opspo.watch(tmp_path / "run", tmp_path / "a.gif", environment=environment)
    played = evaluate_run(tmp_path / "run", episodes=1, seed=0, environment=environment)
    assert (tally.step, tally.ending) == (6, END)
    assert tally.total == pytest.approx(played.returns[0], rel=1e-5)
