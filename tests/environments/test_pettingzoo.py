"""PettingZoo's parallel API: a real environment, and a team that is awkward in every way."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv

import opspo
from opspo.config import ConfigError
from opspo.environments import make_env


class Awkward(ParallelEnv):
    """Unequal observations and actions, a mask, and `b` leaves after its second step."""

    metadata = {"name": "awkward"}  # noqa: RUF012

    def __init__(self, limit=None):
        self.possible_agents = ["a", "b"]
        self.limit = limit

    def observation_space(self, agent):
        return Box(-1, 1, (3,) if agent == "a" else (2,))

    def action_space(self, agent):
        return Discrete(2) if agent == "a" else Discrete(4)

    def reset(self, seed=None, options=None):
        self.agents, self.t, self.taken = list(self.possible_agents), 0, []
        return self._seen(self.agents), {agent: {} for agent in self.agents}

    def _seen(self, agents):
        return {a: np.full(self.observation_space(a).shape, self.t / 10) for a in agents}

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.taken.append(actions)
        self.t += 1
        acted, end = self.agents, self.t == 4
        left = {a: end or (a == "b" and self.t == 2) for a in acted}
        cut = dict.fromkeys(acted, self.t == self.limit)
        self.agents = [a for a in acted if not left[a] and not cut[a]]
        info = {a: {"action_mask": np.array([1, 0] if a == "a" else [1, 1, 0, 1])} for a in acted}
        return self._seen(acted), dict.fromkeys(acted, 1.0), left, cut, info


def test_what_is_shorter_is_padded_and_what_is_surplus_is_never_available():
    made = []
    environment = opspo.from_pettingzoo(lambda: made.append(Awkward()) or made[-1])
    spec = environment.spec
    assert (spec.num_agents, spec.observation_size, spec.num_actions) == (2, 3, 4)
    assert spec.state_size == 5  # no state(): the observations in a row
    batch = environment.open(2, 0)
    seen = batch.reset()
    assert seen.available_actions.tolist() == [[[True, True, False, False], [True] * 4]] * 2
    step, after = batch.step(np.array([[1, 3], [0, 0]]))
    assert made[1].taken == [{"a": 1, "b": 3}]
    np.testing.assert_allclose(after.observation[0], [[0.1] * 3, [0.1, 0.1, 0]])
    np.testing.assert_allclose(after.state[0], [0.1] * 5)
    assert after.available_actions[0].tolist() == [[True, False, False, False], [1, 1, 0, 1]]
    assert step.reward.tolist() == [1.0, 1.0]
    batch.close()


def test_a_module_of_ones_own_is_found_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "my_game.py").write_text(
        "from mpe2.simple_spread_v3 import parallel_env as spread\n"
        "def parallel_env(**options):\n    return spread(max_cycles=5, **options)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = make_env("pettingzoo/my_game").spec
    assert (spec.name, spec.engine) == ("pettingzoo/my_game", "my_game")
    assert make_env("pettingzoo/mpe2.simple_spread_v3").spec.engine.startswith("mpe2 1.")


def test_who_leaves_is_dead_and_the_rest_play_on_to_the_end():
    batch = opspo.from_pettingzoo(Awkward).open(1, 0)
    batch.reset()
    nothing = np.zeros((1, 2), int)
    alive, rewards, ends = [], [], []
    for _ in range(5):
        step, after = batch.step(nothing)
        alive.append(after.alive[0].tolist())
        rewards.append(float(step.reward[0]))
        ends.append((bool(step.terminated[0]), bool(step.truncated[0])))
        last = step.observation.observation[0]
        if len(ends) == 3:
            assert after.available_actions[0, 1].tolist() == [True, False, False, False]
            assert (last[1] == 0).all()
        if len(ends) == 4:
            np.testing.assert_allclose(last[0], 0.4)  # the true last, not the new first
            np.testing.assert_allclose(after.observation[0, 0], 0.0)
    assert alive == [[True, True], [True, False], [True, False], [True, True], [True, True]]
    assert rewards == [1.0, 1.0, 0.5, 0.5, 1.0]
    assert ends == [(False, False)] * 3 + [(True, False), (False, False)]
    batch.close()


def test_a_limit_truncates():
    batch = opspo.from_pettingzoo(lambda: Awkward(limit=3)).open(1, 0)
    batch.reset()
    steps = [batch.step(np.zeros((1, 2), int))[0] for _ in range(3)]
    assert [bool(s.truncated[0]) for s in steps] == [False, False, True]
    assert not any(s.terminated[0] for s in steps)
    batch.close()


@pytest.mark.parametrize("continuous", [False, True])
def test_simple_spread_trains_and_is_the_real_one(continuous, tmp_path):
    from mpe2 import simple_spread_v3
    from small import small_config

    def make():
        return simple_spread_v3.parallel_env(continuous_actions=continuous, max_cycles=10)

    environment = opspo.from_pettingzoo(make, name="spread")
    reference = make()
    seen, _ = reference.reset(seed=int(environment.open(1, 7)._seeds[0]) % 2**31)
    batch = environment.open(1, 7)
    ours = batch.reset()
    for _ in range(10):
        for i, agent in enumerate(reference.possible_agents):
            np.testing.assert_allclose(ours.observation[0, i], seen[agent], rtol=1e-6)
        np.testing.assert_allclose(ours.state[0], reference.state(), rtol=1e-6)
        if continuous:
            action = np.full((1, 3, 5), 0.5, np.float32)
            theirs = {a: np.full(5, 0.75, np.float32) for a in reference.agents}
        else:
            action, theirs = np.ones((1, 3), int), dict.fromkeys(reference.agents, 1)
        seen, reward, _, _, _ = reference.step(theirs)
        step, ours = batch.step(action)
        assert step.reward[0] == pytest.approx(np.mean(list(reward.values())), rel=1e-5)
    assert step.truncated[0]
    batch.close()

    import dataclasses

    config = dataclasses.replace(
        small_config("spread"), total_steps=512, run_dir=str(tmp_path / "run")
    )
    result = opspo.train(config, environment=environment)
    assert len(result.evaluation.returns) == 16
    more = dataclasses.replace(config, total_steps=512)
    assert more == config
    assert opspo.resume(tmp_path / "run", environment=environment).env_steps == 512


def test_by_its_module_name():
    spec = make_env("pettingzoo/mpe2.simple_spread_v3").spec
    assert (spec.num_agents, spec.num_actions) == (3, 5)


@pytest.mark.parametrize(
    ("name", "mend"), [("nowhere.to_be_found", "pip install"), ("mpe2", "parallel_env")]
)
def test_a_wrong_module_says_what_is_missing(name, mend):
    with pytest.raises(ConfigError, match=mend):
        make_env(f"pettingzoo/{name}")
