"""What an environment raises, at whatever step and wherever it runs, loses nothing."""

import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from counting import LIMIT, Counting, OnHost, config_of

import opspo
from opspo.environments.entry import entered
from opspo.environments.pettingzoo import from_pettingzoo
from opspo.errors import EngineError, TrainingError


def raises_and_goes_on(environment, config, iteration, words):
    """Train into the fault, look at what is there, and go on to the end."""
    with pytest.raises(TrainingError) as caught:
        opspo.train(config, environment=environment)
    said = str(caught.value)
    for word in (*words, "opspo.resume("):
        assert word in said, said
    assert "site-packages/jax" not in said
    assert "opspo/src" not in said
    assert "/src/opspo/" not in said
    saved = [int(p.name) for p in (config.folder / "checkpoints").iterdir() if p.name.isdigit()]
    assert max(saved) == iteration
    result = opspo.resume(config.folder, environment=environment)
    rows = [json.loads(line) for line in (config.folder / "metrics.jsonl").open()]
    assert [row["iteration"] for row in rows] == list(range(1, 9))
    assert result.evaluation.returns == (5, 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raises", "evaluation", "iteration"),
    [
        ({"open": 0}, {}, 0),
        ({"reset": 0}, {}, 0),
        ({"step": 0}, {}, 0),
        ({"step": 16 * 3 + 5}, {}, 3),
        ({"step": 16 * 2 + 3}, {"every_steps": 512, "episodes": 2}, 2),  # in an evaluation
        ({"step": 16 * 8 + 2}, {}, 8),  # in the last one
        ({"open": 1}, {}, 8),
    ],
)
def test_what_a_host_environment_raises_loses_nothing(raises, evaluation, iteration, tmp_path):
    environment = OnHost(Counting(), raises)
    words = ("ZeroDivisionError: the author's fault", "counting.py", "in count", "is saved")
    raises_and_goes_on(environment, config_of(tmp_path, **evaluation), iteration, words)


def test_what_close_raises_is_only_a_warning(tmp_path):
    environment = OnHost(Counting(), {"close": 0})
    with pytest.warns(UserWarning, match="raised when closed: ZeroDivisionError"):
        result = opspo.train(config_of(tmp_path), environment=environment)
    assert result.evaluation.returns == (5, 5)


class Callback(Counting):
    """A JAX environment that asks Python at each step, which raises at one of them."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def ask(self, t):
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError("the author's fault in a callback")
        return np.float32(1)

    def step(self, key, state, action):
        state, step = super().step(key, state, action)
        pay = jax.pure_callback(
            self.ask, jax.ShapeDtypeStruct((), jnp.float32), state, vmap_method="sequential"
        )
        return state, step.replace(reward=pay)


@pytest.mark.slow
@pytest.mark.parametrize(("at", "iteration"), [(1, 0), (256 * 3 + 100, 3), (256 * 8 + 3, 8)])
def test_what_a_callback_of_a_jax_environment_raises_loses_nothing(at, iteration, tmp_path):
    words = ("ZeroDivisionError: the author's fault in a callback", "in ask", "is saved")
    raises_and_goes_on(Callback(at), config_of(tmp_path), iteration, words)


class Parallel:
    """A PettingZoo environment that raises at a step of its life."""

    metadata = {"name": "parallel"}  # noqa: RUF012
    possible_agents = ("left", "right")

    def __init__(self, at):
        self.at = at

    def observation_space(self, agent):
        return gymnasium.spaces.Box(-1, 1, (4,))

    def action_space(self, agent):
        return gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.t = list(self.possible_agents), 0
        return self.all(np.zeros(4, np.float32)), self.all({})

    def step(self, actions):
        self.t += 1
        self.at[0] -= 1
        if self.at[0] == 0:
            raise KeyError("the author's fault in PettingZoo")
        end = self.t == LIMIT
        answer = (
            self.all(np.zeros(4, np.float32)),
            self.all(1.0),
            self.all(end),
            self.all(False),
            self.all({}),
        )
        if end:
            self.agents = []
        return answer

    def all(self, value):
        return dict.fromkeys(self.possible_agents, value)

    def close(self):
        pass


@pytest.mark.slow
def test_what_a_pettingzoo_environment_raises_loses_nothing(tmp_path):
    at = [10**9]
    environment = from_pettingzoo(lambda: Parallel(at))
    at[0] = 256 * 2 + 100
    words = ('KeyError: "the author\'s fault in PettingZoo"', "test_raising.py", "is saved")
    raises_and_goes_on(environment, config_of(tmp_path), 2, words)


def test_only_the_authors_frames_are_told():
    batch = entered(OnHost(Counting(), {"step": 1}), agent_id=False).open(2, 0)
    batch.reset()
    batch.step(np.zeros((2, 2), int))
    with pytest.raises(EngineError) as caught:
        batch.step(np.zeros((2, 2), int))
    lines = str(caught.value).splitlines()
    assert lines[0] == "The environment raised at step 1."
    assert sum('File "' in line for line in lines) == 2  # step, count
    assert lines[-1] == "ZeroDivisionError: the author's fault at step"
