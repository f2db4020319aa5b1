"""PettingZoo's parallel API: a real environment, and a team that is awkward in every way."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Text, Tuple
from pettingzoo import ParallelEnv

import opspo
from opspo.environments import make_env
from opspo.errors import ConfigError


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
    assert (spec.agents, spec.action_counts, spec.action_sizes) == (("a", "b"), (2, 4), ())
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
    assert rewards == [1.0] * 5  # of those who acted
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
    assert spec.agents == ("agent_0", "agent_1", "agent_2")
    assert (spec.action_counts, spec.action_sizes, spec.action_size) == ((), (), 0)


def test_knights_and_archers_die_one_after_the_other():
    knights = pytest.importorskip("pettingzoo.butterfly.knights_archers_zombies_v11")
    environment = opspo.from_pettingzoo(lambda: knights.parallel_env(spawn_delay=2))
    spec = environment.spec
    assert spec.agents == ("archer_0", "archer_1", "knight_0", "knight_1")
    assert (spec.observation_size, spec.num_actions) == (27 * 5, 6)
    batch = environment.open(1, 0)
    batch.reset()
    living = []
    while True:
        step, after = batch.step(np.full((1, 4), 4))  # all strike where they stand
        if step.terminated[0]:
            break
        living.append(int(after.alive[0].sum()))
        assert (after.observation[0].any(-1) == after.alive[0]).all()
    assert living == sorted(living, reverse=True)
    assert len(set(living)) > 1
    batch.close()


def test_a_real_image_is_refused():
    pong = pytest.importorskip("pettingzoo.butterfly.cooperative_pong_v6")
    with pytest.raises(ConfigError, match="agent 'paddle_0' observes an image"):
        opspo.from_pettingzoo(pong.parallel_env)


class Spaces(ParallelEnv):
    """Any spaces; it keeps what it is told, and may have masks in its infos."""

    metadata = {"name": "spaces"}  # noqa: RUF012

    def __init__(self, sees, acts, masks=None):
        self.possible_agents = list(acts)
        self.sees, self.acts, self.masks = sees, acts, masks or {}

    def observation_space(self, agent):
        return self.sees[agent] if isinstance(self.sees, dict) else self.sees

    def action_space(self, agent):
        return self.acts[agent]

    def reset(self, seed=None, options=None):
        self.agents, self.told = list(self.possible_agents), []
        return self.seen(), self.info()

    def info(self):
        return {a: {"action_mask": self.masks[a]} if a in self.masks else {} for a in self.agents}

    def seen(self):
        rng = np.random.default_rng(len(self.told))
        seen = {}
        for agent in self.agents:
            space = self.observation_space(agent)
            space.seed(int(rng.integers(1000)))
            seen[agent] = space.sample()
        return seen

    def step(self, actions):
        for agent, action in actions.items():
            assert self.acts[agent].contains(action), (agent, action)
        self.told.append(actions)
        no = dict.fromkeys(self.agents, False)
        return self.seen(), dict.fromkeys(self.agents, 1.0), no, no, self.info()


ONE = Box(0, 1, (1,))


def opened(**about):
    made = []
    environment = opspo.from_pettingzoo(lambda: made.append(Spaces(**about)) or made[-1])
    batch = environment.open(1, 0)
    return environment.spec, batch, batch.reset(), made[-1]


def test_several_decisions_at_one_step():
    acts = {
        "one": Discrete(5, start=1),
        "many": MultiDiscrete([2, 3], start=[0, 7]),
        "bits": MultiBinary((3, 1)),
        "parts": Dict(talk=Discrete(2), move=MultiDiscrete([4])),
    }
    masks = {
        "one": np.array([0, 1, 1, 0, 1]),
        "many": (np.array([1, 0], np.int8), np.array([0, 1, 1], np.int8)),
        "bits": np.array([1, 1, 0, 1, 1, 0]),
    }
    spec, batch, seen, engine = opened(sees=ONE, acts=acts, masks=masks)
    assert spec.agents == ("one", "many", "bits", "parts")
    assert (spec.num_actions, spec.action_size, spec.action_sizes) == (5, 3, (1, 2, 3, 2))
    assert spec.decision_counts == ((5,), (2, 3), (2, 2, 2), (2, 4))
    available = seen.available_actions[0]
    rest = [True, False, False, False, False]
    expected = np.array(
        [
            [[0, 1, 1, 0, 1], rest, rest],
            [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], rest],
            [[1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]],
            [[1, 1, 0, 0, 0], [1, 1, 1, 1, 0], rest],
        ],
        bool,
    )
    np.testing.assert_array_equal(available, expected)
    batch.step(np.array([[[4, 0, 0], [0, 2, 0], [1, 1, 0], [1, 3, 0]]]))
    told = engine.told[0]
    assert (told["one"], told["many"].tolist(), told["bits"].tolist()) == (
        5,
        [0, 9],
        [[1], [1], [0]],
    )
    assert (told["parts"]["talk"], told["parts"]["move"].tolist()) == (1, [3])


def test_a_multidiscrete_of_one_decision_is_one_decision():
    spec, batch, seen, engine = opened(sees=ONE, acts=dict.fromkeys("ab", MultiDiscrete([3])))
    assert (spec.num_actions, spec.action_size) == (3, 0)
    assert seen.available_actions.shape == (1, 2, 3)
    batch.step(np.array([[2, 0]]))
    assert [action.tolist() for action in engine.told[0].values()] == [[2], [0]]


def test_numbers_of_any_shape_and_range():
    acts = {"plane": Box(-2, 2, (2, 2)), "up": Box(2, np.inf), "whole": Box(0, 9, (1,), np.int64)}
    spec, batch, seen, engine = opened(sees=ONE, acts=acts)
    assert (spec.num_actions, spec.action_size, spec.action_sizes) == (0, 4, (4, 1, 1))
    assert seen.available_actions is None
    batch.step(np.array([[[-1, 0, 0.5, 1], [-1, 9, 9, 9], [0.4, 9, 9, 9]]], np.float32))
    batch.step(np.array([[[0, 0, 0, 0], [1, 9, 9, 9], [7, 9, 9, 9]]], np.float32))
    told = [[action.tolist() for action in actions.values()] for actions in engine.told]
    assert told == [[[[-2, 0], [1, 2]], [2], [6]], [[[0, 0], [0, 0]], [4], [9]]]


def test_what_is_seen_beside_the_observation_counts():
    sees = {
        "a": Dict(observation=Box(0, 1, (2,)), goal=Discrete(3), action_mask=MultiBinary(2)),
        "b": Tuple((MultiDiscrete([2, 2]), Box(0, 255, (2, 2), np.uint8))),
    }
    spec, _, seen, engine = opened(sees=sees, acts=dict.fromkeys("ab", Discrete(2)))
    assert (spec.observation_size, spec.state_size) == (8, 5 + 8)
    given = engine.seen()
    goal = np.eye(3)[given["a"]["goal"]]
    parts = {"goal": goal, "observation": given["a"]["observation"]}
    in_order = np.concatenate([parts[key] for key in sees["a"].spaces if key in parts])
    np.testing.assert_allclose(seen.observation[0, 0], [*in_order, 0, 0, 0])
    bits, grey = given["b"]
    expected = np.concatenate([*np.eye(2)[bits], grey.reshape(-1)])
    np.testing.assert_allclose(seen.observation[0, 1], expected)
    np.testing.assert_array_equal(seen.available_actions[0, 0], given["a"]["action_mask"])


def test_a_vector_with_a_mask_in_a_dict_that_the_space_does_not_tell():
    class Untold(Spaces):
        def seen(self):
            mask = np.array([0, 1])
            return {a: {"observation": [0.5], "action_mask": mask} for a in self.agents}

    batch = opspo.from_pettingzoo(lambda: Untold(ONE, {"a": Discrete(2)})).open(1, 0)
    seen = batch.reset()
    assert seen.observation.tolist() == [[[0.5]]]
    assert seen.available_actions.tolist() == [[[False, True]]]


@pytest.mark.parametrize(
    ("about", "says"),
    [
        (
            {"sees": Box(0, 255, (8, 8, 3), np.uint8), "acts": {"a": Discrete(2)}},
            "pettingzoo/spaces: agent 'a' observes an image.*Wrap",
        ),
        ({"sees": ONE, "acts": {"a": Discrete(2), "b": Text(3)}}, "agent 'b' acts in a Text"),
        ({"sees": ONE, "acts": {"a": Discrete(2), "b": Box(0, 1)}}, "discrete.*continuous"),
        ({"sees": ONE, "acts": {"a": Discrete(2)}, "masks": {"a": [1] * 3}}, "'a'.*3 entries"),
        ({"sees": ONE, "acts": {}}, "possible_agents"),
    ],
)
def test_what_cannot_be_names_the_agent_and_what_to_do(about, says):
    with pytest.raises(ConfigError, match=f"(?s){says}"):
        opened(**about)


def test_an_observation_outside_of_its_space_names_the_agent():
    class Lying(Spaces):
        def seen(self):
            return {agent: [0.0, 0.0] for agent in self.agents}

    with pytest.raises(ConfigError, match=r"agent 'a' observed does not fit.*2 numbers, not 1"):
        opspo.from_pettingzoo(lambda: Lying(ONE, {"a": Discrete(2)}))


@pytest.mark.slow
def test_workers_take_several_decisions_as_it_is_done_here():
    acts = {"a": MultiDiscrete([2, 3]), "b": Discrete(4)}
    rows = []
    for workers in (False, True):
        environment = opspo.from_pettingzoo(lambda: Spaces(ONE, acts), workers=workers)
        batch = environment.open(2, 0)
        seen = [batch.reset()]
        for t in range(3):
            step, after = batch.step(np.array([[[1, t], [t, 0]], [[0, 2], [3, 0]]]))
            assert not step.lost.any()
            seen.append(after)
        batch.close()
        rows.append(seen)
    for here, there in zip(*rows, strict=True):
        np.testing.assert_array_equal(here.observation, there.observation)
        assert there.available_actions.shape == (2, 2, 2, 4)
        np.testing.assert_array_equal(here.available_actions, there.available_actions)


@pytest.mark.parametrize(
    ("name", "mend"), [("nowhere.to_be_found", "pip install"), ("mpe2", "parallel_env")]
)
def test_a_wrong_module_says_what_is_missing(name, mend):
    with pytest.raises(ConfigError, match=mend):
        make_env(f"pettingzoo/{name}")


class Settings(Spaces):
    """Each agent is paid the share of what it decides that is as it should be; 5 steps."""

    def reset(self, seed=None, options=None):
        self.t = 0
        return super().reset(seed)

    def step(self, actions):
        self.t += 1
        seen, _, no, _, info = super().step(actions)
        paid = {a: float(np.mean(np.asarray(x) == self.should(a))) for a, x in actions.items()}
        cut = dict.fromkeys(self.agents, self.t == 5)
        self.agents = [] if self.t == 5 else self.agents
        return seen, paid, no, cut, info

    def should(self, agent):
        return {"a": [1, 2], "b": [4], "c": [[1], [0], [1]]}[agent]


@pytest.mark.slow
def test_a_team_of_unequal_decisions_learns_them_all(tmp_path):
    import dataclasses

    from small import small_config

    acts = {"a": MultiDiscrete([2, 3]), "b": Discrete(3, start=2), "c": MultiBinary((3, 1))}
    sees = {agent: Box(number, number, (4,)) for number, agent in enumerate("abc")}
    environment = opspo.from_pettingzoo(lambda: Settings(sees, acts))
    config = dataclasses.replace(
        small_config("settings", shared=False), total_steps=12_800, run_dir=str(tmp_path / "run")
    )
    result = opspo.train(config, environment=environment)
    assert result.evaluation.summary()["mean_return"] > 4.5  # of 5; by chance it is 2.1
