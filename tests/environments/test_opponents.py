"""Games with opponents are refused, teams with rewards of their own are not."""

import importlib

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv

import opspo
from opspo.environments import make_env
from opspo.environments.opponents import OPPONENTS, is_known_game, opposed_pair
from opspo.errors import ConfigError

RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=(100, 3))
RARE = np.where(RNG.random((100, 1)) < 0.1, 1.0, 0.0)


@pytest.mark.parametrize(
    "rewards",
    [
        NOISE[:, :1] * [[1, -1]],  # zero-sum
        NOISE[:, :1] * [[1, -0.2]],
        np.ones((100, 1)) * [[1, -1]],  # the same at every step
        RARE * [[10, -10]],  # one is caught, and only then
        np.concatenate([RARE * 10, -RARE * 10 - 0.01 * np.abs(NOISE[:, :1])], axis=1),
        np.abs(NOISE[:, :1]) * [[1, 1, -1]],  # two against one
    ],
)
def test_opposed_rewards_are_seen(rewards):
    pair = opposed_pair(rewards)
    assert pair == ((0, 2) if rewards.shape[1] == 3 else (0, 1))


@pytest.mark.parametrize(
    "rewards",
    [
        NOISE[:, :1] * [[1, 1, 1]],  # shared
        NOISE,  # each its own
        NOISE[:, :1] * 0.5 + NOISE * 0.5,  # a share of both
        np.concatenate([np.abs(NOISE[:, :1]), -np.abs(NOISE[:, 1:2])], axis=1),  # gain and fuel
        np.ones((100, 1)) * [[1, -0.1]],
        np.concatenate([RARE, -np.roll(RARE, 1)], axis=0).reshape(2, 100).T,  # never at once
        np.concatenate([NOISE[:1, :1] * [[1, -1]], np.zeros((99, 2))]),  # once is no rule
        np.zeros((100, 2)),
        np.zeros((0, 2)),
        NOISE[:, :1],  # alone
    ],
)
def test_a_team_is_none(rewards):
    assert opposed_pair(rewards) is None


class Paid(ParallelEnv):
    """An agent is paid what its row says for each agent that chooses 1."""

    metadata = {"name": "paid"}  # noqa: RUF012

    def __init__(self, *rows, length=10):
        self.possible_agents = [f"agent_{i}" for i in range(len(rows))]
        self.rows, self.length = np.array(rows), length

    def observation_space(self, agent):
        return Discrete(2)

    def action_space(self, agent):
        return Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.t = list(self.possible_agents), 0
        return dict.fromkeys(self.agents, 0), {agent: {} for agent in self.agents}

    def step(self, actions):
        self.t += 1
        acted = self.possible_agents
        paid = self.rows @ [actions[agent] for agent in acted]
        cut = dict.fromkeys(acted, self.t == self.length)
        self.agents = [] if self.t == self.length else acted
        seen, nothing = dict.fromkeys(acted, 0), dict.fromkeys(acted, False)
        return seen, dict(zip(acted, paid, strict=True)), nothing, cut, {a: {} for a in acted}


@pytest.mark.parametrize(
    "rows",
    [
        ([1, -1], [-1, 1]),
        ([2, 2], [-1, -1]),
        ([1, -1, 0], [0, 1, -1], [-1, 0, 1]),  # all in a ring
        ([1, 1, 1], [1, 1, 1], [-2, -2, -2]),
        ([0, 0, 0], [3, 0, 0], [-1, 0, 0]),
    ],
)
def test_an_own_environment_with_opponents_is_refused_and_told_what_to_do(rows):
    with pytest.raises(ConfigError, match="fixed policy within the environment") as caught:
        opspo.from_pettingzoo(lambda: Paid(*rows))
    assert f"pettingzoo/paid {OPPONENTS}" in str(caught.value)
    assert ("'agent_1'" if rows[0][0] == 0 else "'agent_0'") in str(caught.value)


@pytest.mark.parametrize(
    "rows",
    [
        ([1, 1], [1, 1]),
        ([1, 1], [0.1, 0.1]),
        ([1, 0], [0, 1]),  # each its own
        ([1, 0], [0, -1]),  # one finds, the other pays for its fuel
        ([0.5, 1, 1], [1, 0.5, 1], [1, 1, 0.5]),  # a share in all, less what each spends
        ([1, -0.4], [-0.4, 1]),  # in each other's way, but not always
    ],
)
def test_a_team_with_rewards_of_their_own_is_trained(rows):
    assert opspo.from_pettingzoo(lambda: Paid(*rows)).spec.num_agents == len(rows)


def test_an_engine_that_raises_in_the_probe_is_for_the_training_to_report():
    class Broken(Paid):
        def step(self, actions):
            raise RuntimeError("the ball is gone")

    assert opspo.from_pettingzoo(lambda: Broken([1, 1], [1, 1])).spec.num_agents == 2


GAMES = [
    "simple_adversary_v3",
    "simple_crypto_v3",
    "simple_push_v3",
    "simple_tag_v3",
    "simple_world_comm_v3",
]
TEAMS = [
    "simple_v3",
    "simple_spread_v3",
    "simple_reference_v3",
    "simple_speaker_listener_v4",
    "simple_formation_v1",
    "simple_line_v1",
    "collect_treasure_v1",
]


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("family", ["pettingzoo/mpe2.", "jaxmarl/MPE_"])
def test_the_games_of_particles_are_refused_with_one_reason_in_every_adapter(family, game):
    with pytest.raises(ConfigError, match=OPPONENTS):
        make_env(f"{family}{game}")


def test_a_game_is_known_however_it_is_made():
    from mpe2 import simple_tag_v3

    with pytest.raises(ConfigError, match=f"tag {OPPONENTS}"):
        opspo.from_pettingzoo(lambda: simple_tag_v3.parallel_env(num_good=2), name="tag")
    # one's own of that name is asked how it pays
    assert not is_known_game("my_games.simple_tag")


@pytest.mark.parametrize("team", TEAMS)
@pytest.mark.parametrize("continuous", [False, True])
def test_the_teams_of_particles_are_all_taken(team, continuous):
    module = importlib.import_module(f"mpe2.{team}")
    environment = opspo.from_pettingzoo(lambda: module.parallel_env(continuous_actions=continuous))
    assert environment.spec.agents == tuple(environment.agents)
