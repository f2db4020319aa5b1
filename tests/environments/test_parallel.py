"""Ends, deaths, rewards and states of environments with PettingZoo's parallel API."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv

import opspo
from opspo.errors import ConfigError

YES, NO = True, False


class Script(ParallelEnv):
    """Plays what a script says: at each step the flags (terminated, truncated) of some agents.

    Who has a flag is removed from `agents`, unless `keeps`; `back` maps a step to who returns then.
    """

    metadata = {"name": "script"}  # noqa: RUF012

    def __init__(self, *script, agents="abc", keeps=False, back=None):
        self.possible_agents = list(agents)
        self.script, self.keeps, self.back = script, keeps, back or {}
        self.told = []

    def observation_space(self, agent):
        return Box(-9, 9, (1,))

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.t = list(self.possible_agents), 0
        return self.seen(self.agents), {agent: {} for agent in self.agents}

    def seen(self, agents):
        return {agent: np.array([self.t], np.float32) for agent in agents}

    def reward(self, acted):
        return dict.fromkeys(acted, 6.0)

    def step(self, actions):
        assert set(actions) == set(self.agents)
        self.told.append(dict(actions))
        flags = self.script[self.t] if self.t < len(self.script) else {}
        self.t += 1
        acted = list(self.agents)
        if not self.keeps:
            self.agents = [a for a in acted if not any(flags.get(a, ()))]
        self.agents += [a for a in self.back.get(self.t, "") if a not in self.agents]
        left, cut = ({a: flags.get(a, (NO, NO))[i] for a in acted} for i in (0, 1))
        seen = self.seen({*acted, *self.agents})
        return seen, self.reward(acted), left, cut, {a: {} for a in acted}


def play(make, steps):
    """Each step with what follows, and the engine that took them."""
    made = []
    environment = opspo.from_pettingzoo(lambda: made.append(make()) or made[-1])
    batch = environment.open(1, 0)
    batch.reset()
    nothing = np.zeros((1, environment.spec.num_agents), int)
    return [batch.step(nothing) for _ in range(steps)], made[-1]


def ends(rows):
    return [(bool(step.terminated[0]), bool(step.truncated[0])) for step, _ in rows]


def alive(rows):
    return ["".join(str(int(x)) for x in step.observation.alive[0]) for step, _ in rows]


ALL = "abc"
FELL, CUT, BOTH = (YES, NO), (NO, YES), (YES, YES)


@pytest.mark.parametrize("keeps", [False, True], ids=["removes", "keeps"])
@pytest.mark.parametrize(
    ("script", "living", "end"),
    [
        # all at once
        ([{}, dict.fromkeys(ALL, FELL)], ["111", "111"], (YES, NO)),
        ([{}, dict.fromkeys(ALL, CUT)], ["111", "111"], (NO, YES)),
        ([{}, dict.fromkeys(ALL, BOTH)], ["111", "111"], (YES, NO)),
        # some terminated, the rest cut in the same step
        ([{}, {"a": FELL, "b": CUT, "c": CUT}], ["111", "011"], (NO, YES)),
        ([{}, {"a": BOTH, "b": BOTH, "c": CUT}], ["111", "001"], (NO, YES)),
        # one after the other
        ([{"b": FELL}, {}, {"a": FELL, "c": FELL}], ["101", "101", "101"], (YES, NO)),
        ([{"b": FELL}, {}, {"a": CUT, "c": CUT}], ["101", "101", "101"], (NO, YES)),
        ([{"b": CUT}, {"a": FELL}, {"c": BOTH}], ["101", "001", "001"], (YES, NO)),
        ([{"b": CUT}, {"a": CUT}, {"c": CUT}], ["101", "001", "001"], (NO, YES)),
    ],
)
def test_an_episode_ends_when_all_who_act_are_out_listed_or_not(script, living, end, keeps):
    rows, _ = play(lambda: Script(*script, keeps=keeps), len(script) + 1)
    assert ends(rows) == [(NO, NO)] * (len(script) - 1) + [end] + [(NO, NO)]
    assert alive(rows)[:-1] == living
    assert rows[-2][1].alive[0].all()  # a new episode


def test_who_is_out_stays_so_while_listed_and_gets_choice_0_alone():
    script = [{"b": FELL}, {"b": (NO, NO)}, {}, dict.fromkeys(ALL, CUT)]
    rows, engine = play(lambda: Script(*script, keeps=True), 3)
    assert alive(rows) == ["101"] * 3
    for step, after in rows:
        assert (step.observation.observation[0, 1] == 0).all()
        assert after.available_actions[0].tolist() == [[YES, YES], [YES, NO], [YES, YES]]
    assert [set(told) for told in engine.told] == [set(ALL)] * 3  # an engine may look for it


def test_who_was_removed_gets_no_action():
    _, engine = play(lambda: Script({"b": FELL}), 3)
    assert [set(told) for told in engine.told] == [set(ALL), {"a", "c"}, {"a", "c"}]


@pytest.mark.parametrize("flags", [FELL, CUT, BOTH])
def test_who_comes_back_plays_on(flags):
    script = [{"b": flags}, {}, {}, {"a": FELL, "c": FELL}, {"b": FELL}]
    rows, engine = play(lambda: Script(*script, back={3: "b"}), 5)
    assert alive(rows) == ["101", "101", "111", "010", "010"]
    assert ends(rows) == [(NO, NO)] * 4 + [(YES, NO)]
    assert [set(told) for told in engine.told[1:4]] == [{"a", "c"}, {"a", "c"}, set(ALL)]


def test_who_leaves_without_a_flag_is_out():
    class Silent(Script):
        def step(self, actions):
            answer = super().step(actions)
            self.agents = self.agents[: 3 - self.t]
            return answer

    rows, _ = play(Silent, 3)
    assert alive(rows) == ["110", "100", "100"]
    assert ends(rows) == [(NO, NO)] * 2 + [(YES, NO)]


class Nobody(Script):
    """Its `reset` leaves `agents` as it is, which is empty after an episode."""

    def reset(self, seed=None, options=None):
        there = getattr(self, "agents", self.first)
        answer = super().reset(seed=seed)
        self.agents = list(there)
        return answer


@pytest.mark.parametrize(("first", "at_once"), [("", True), (ALL, False)])
def test_an_episode_that_nobody_plays_is_an_error(first, at_once):
    """It would end with its first step, and so would every other."""
    kind = type("Nobody", (Nobody,), {"first": first})
    script = [{}] * 200 + [dict.fromkeys(ALL, FELL)]  # longer than what is played to see it
    says = r"agents is empty after reset\(\).*self\.agents = self\.possible_agents\[:\]"
    if at_once:
        with pytest.raises(ConfigError, match=says):
            opspo.from_pettingzoo(lambda: kind(*script))
        return
    batch = opspo.from_pettingzoo(lambda: kind(*script)).open(1, 0)
    batch.reset()
    nothing = np.zeros((1, 3), int)
    with pytest.raises(ConfigError, match=says):
        for _ in range(201):
            batch.step(nothing)


def test_who_may_only_come_later_is_not_there_yet():
    class Late(Script):
        def reset(self, seed=None, options=None):
            super().reset(seed)
            self.agents = ["a"]
            return self.seen("a"), {"a": {}}

    rows, _ = play(lambda: Late({}, {}, {"a": CUT}, {"c": CUT}, back={2: "c"}), 4)
    assert alive(rows) == ["100", "101", "001", "001"]
    assert ends(rows) == [(NO, NO)] * 3 + [(NO, YES)]


def test_an_agent_of_no_possible_name_is_named():
    with pytest.raises(ConfigError, match=r"agents \['d'\] are not among its possible_agents"):
        play(lambda: Script({}, back={2: "d"}), 1)


def test_who_left_does_not_dilute_a_shared_reward():
    rows, _ = play(lambda: Script({"b": FELL}, {}, {"a": FELL}), 4)
    assert [float(step.reward[0]) for step, _ in rows] == [6.0] * 4


def test_the_reward_is_the_mean_of_those_who_acted_and_were_paid():
    class Own(Script):
        def reward(self, acted):
            paid = {"a": 1, "b": np.array([4.0]), "c": np.float16(10)}  # whoever may be there
            return {k: v for k, v in paid.items() if k != "c" or self.t < 3}

    rows, _ = play(lambda: Own({"a": FELL}, {}, {}, {}), 4)
    # a alone leaves, then c is not paid although it acts
    assert [float(step.reward[0]) for step, _ in rows] == [5.0, 7.0, 4.0, 4.0]


# ------------------------------------------------------------------------------------------------
# What is seen at the end


class Moving(Script):
    """Its state has nothing to do with the observations, and fails as it is told."""

    fails = staticmethod(lambda engine: False)

    def state(self):
        if self.fails(self):
            return np.array([])[0]  # as multiwalker's does, once nobody is left
        return np.array([[100 + self.t, 7]])


def ending(**attributes):
    """`Moving` that is cut at its second step."""
    kind = type("Ending", (Moving,), attributes)
    return lambda: kind({}, dict.fromkeys(ALL, CUT))


def test_the_last_observation_of_a_cut_episode_is_seen_and_counts_as_alive():
    rows, _ = play(lambda: Script({}, dict.fromkeys(ALL, CUT)), 2)
    step, after = rows[-1]
    assert step.observation.alive[0].all()
    assert step.observation.observation[0].tolist() == [[2.0]] * 3
    assert step.observation.state[0].tolist() == [2.0] * 3
    assert after.observation[0].tolist() == [[0.0]] * 3


def test_an_observation_that_an_engine_leaves_out_at_the_end_is_the_one_before():
    class Mute(Script):
        def seen(self, agents):
            return {} if self.t == 2 else super().seen(agents)

    rows, _ = play(lambda: Mute({}, dict.fromkeys(ALL, CUT)), 2)
    assert rows[-1][0].observation.observation[0].tolist() == [[1.0]] * 3


def test_an_observation_that_is_left_out_before_is_an_error_that_names_the_agent():
    class Mute(Script):
        def seen(self, agents):
            seen = super().seen(agents)
            return {a: seen[a] for a in seen if a != "b" or self.t != 2}

    with pytest.raises(ConfigError, match=r"agent 'b' is among the agents, but has no obs"):
        play(lambda: Mute({}, {}, {}), 3)


def test_a_state_of_its_own_is_the_critics():
    rows, _ = play(ending(), 2)
    assert [step.observation.state[0].tolist() for step, _ in rows] == [[101, 7], [102, 7]]


@pytest.mark.parametrize(
    "attributes",
    [
        {"fails": staticmethod(lambda engine: not engine.agents)},
        {"state": lambda self: np.array([100 + self.t, 7][: len(self.agents)])},
    ],
    ids=["raises", "shrinks"],
)
def test_a_state_that_fails_at_the_end_is_the_one_before(attributes):
    rows, _ = play(ending(**attributes), 3)
    assert [step.observation.state[0].tolist() for step, _ in rows[:2]] == [[101, 7], [101, 7]]
    assert rows[1][1].state[0].tolist() == [100, 7]
    assert rows[2][0].observation.state[0].tolist() == [101, 7]


class Reusing(Moving):
    """Its state is one array, which it fills anew at each reset and step."""

    def __init__(self, *script):
        super().__init__(*script)
        self.whole = np.zeros(2, np.float32)

    def reset(self, seed=None, options=None):
        answer = super().reset(seed=seed)
        self.whole[:] = 100, 7
        return answer

    def step(self, actions):
        answer = super().step(actions)
        self.whole[:] = 100 + self.t if self.agents else -1, 7
        return answer

    def state(self):
        if self.fails(self):
            raise IndexError
        return self.whole


@pytest.mark.parametrize(("fails", "last"), [(False, -1), (True, 101)])
def test_a_state_that_the_engine_writes_over_is_the_one_of_its_time(fails, last):
    """The end's is not the next start's; and the one before that stands in for it is no later."""
    fault = staticmethod(lambda engine: fails and not engine.agents)
    kind = type("Failing", (Reusing,), {"fails": fault})
    rows, _ = play(lambda: kind({}, dict.fromkeys(ALL, CUT)), 3)
    states = [step.observation.state[0].tolist() for step, _ in rows]
    assert states == [[101, 7], [last, 7], [101, 7]]
    assert rows[1][1].state[0].tolist() == [100, 7]


@pytest.mark.parametrize(
    "state",
    [
        lambda self: self.nothing_of_that_name,
        lambda self: np.array([])[0],
        lambda self: None,
        ParallelEnv.state,
    ],
)
def test_with_a_state_that_always_fails_it_is_the_observations_in_a_row(state):
    rows, _ = play(ending(state=state), 2)
    assert [step.observation.state[0].tolist() for step, _ in rows] == [[1.0] * 3, [2.0] * 3]


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        # multiwalker's, where a fallen walker is removed and the others go on
        ({"fails": staticmethod(lambda engine: len(engine.agents) < 3)}, "raised IndexError: .*"),
        ({"state": lambda self: np.ones(len(self.agents))}, "returned 2 numbers, and 3 before"),
    ],
)
def test_a_state_that_fails_in_between_is_not_hidden(attributes, says):
    kind = type("Failing", (Moving,), attributes)
    make = lambda: kind({"b": FELL}, {}, {"a": CUT, "c": CUT})  # noqa: E731
    with pytest.raises(ConfigError, match=rf"state\(\) {says}, in the middle.*own_state=False"):
        play(make, 1)
    environment = opspo.from_pettingzoo(make, own_state=False)
    batch = environment.open(1, 0)
    assert batch.reset().state.tolist() == [[0.0] * 3]
    step, _ = batch.step(np.zeros((1, 3), int))
    assert step.observation.state.tolist() == [[1.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (np.zeros((8, 8, 3), np.uint8), "image.*own_state=False"),
        (np.zeros((84, 84), np.uint8), "image.*own_state=False"),
        (np.zeros((84, 84, 3)), "image.*own_state=False"),
        ({"x": 1}, "must return an array.*own_state=False"),
    ],
)
def test_a_state_that_is_no_vector_is_refused(state, says):
    with pytest.raises(ConfigError, match=says):
        play(ending(state=lambda self: state), 1)


def test_a_state_space_may_say_that_it_is_an_image():
    """Which the numbers alone do not: grey values as floats."""
    grey = {"state": lambda self: np.zeros((84, 84))}
    play(ending(**grey), 1)
    with pytest.raises(ConfigError, match="image"):
        play(ending(**grey, state_space=Box(0, 255, (84, 84))), 1)


def test_a_board_is_a_state():
    rows, _ = play(ending(state=lambda self: np.ones((5, 5, 3))), 1)
    assert rows[0][0].observation.state.tolist() == [[1.0] * 75]
