"""A policy that is given no mask chooses among what each agent has."""

import dataclasses

import gymnasium
import jax
import numpy as np
import pytest
from small import small_config

import opspo
from opspo.config import PolicyConfig
from opspo.environments.base import EnvironmentSpec
from opspo.policies.team import make_team
from opspo.policy import Policy

SEEN = np.random.default_rng(0).normal(size=(400, 2, 3))
UNEQUAL = {"num_actions": 4, "action_counts": (2, 4)}
DECISIONS = {
    "num_actions": 4,
    "action_size": 2,
    "action_sizes": (2, 1),
    "decision_counts": ((2, 4), (3,)),
}


def fresh(**sizes):
    """Untrained: every logit is near 0, so that each choice that can be taken is."""
    spec = EnvironmentSpec("own/game", 2, 3, 3, **sizes)
    team = make_team(PolicyConfig(hidden_sizes=(8,)), spec)
    return Policy(team, team.init(jax.random.PRNGKey(0)), spec)


def chosen(policy, seen, greedy, **given):
    policy.reset()
    return policy.act(seen, greedy=greedy, key=jax.random.PRNGKey(1), **given)


greed = pytest.mark.parametrize("greedy", [True, False])


@greed
def test_an_agents_surplus_choices_are_not_taken(greedy):
    policy = fresh(**UNEQUAL)
    actions = chosen(policy, SEEN, greedy)
    assert [set(actions[:, i].tolist()) for i in (0, 1)] == [{0, 1}, {0, 1, 2, 3}]
    alone = [chosen(policy.agent(i), SEEN[:, i : i + 1], greedy) for i in (0, 1)]
    assert [set(own.ravel().tolist()) for own in alone] == [{0, 1}, {0, 1, 2, 3}]
    same = chosen(policy.agent(1).agent(0), SEEN[:, 1:], greedy)
    np.testing.assert_array_equal(same, alone[1])


@greed
def test_a_decisions_surplus_choices_are_not_taken(greedy):
    policy = fresh(**DECISIONS)
    actions = chosen(policy, SEEN, greedy)
    found = [[set(actions[:, i, d].tolist()) for d in (0, 1)] for i in (0, 1)]
    assert found == [[{0, 1}, {0, 1, 2, 3}], [{0, 1, 2}, {0}]]
    own = chosen(policy.agent(1), SEEN[:, 1:], greedy)
    assert [set(own[:, 0, d].tolist()) for d in (0, 1)] == [{0, 1, 2}, {0}]


def test_a_mask_that_is_given_counts():
    mask = np.zeros((400, 2, 4), bool)
    mask[:, 0, 1] = mask[:, 1, 3] = True
    actions = chosen(fresh(**UNEQUAL), SEEN, False, available_actions=mask)
    np.testing.assert_array_equal(actions, [[1, 3]] * 400)


class Uneven:
    """Agent `few` has two choices in a decision, `many` four; in PettingZoo's parallel API."""

    metadata = {"name": "uneven"}  # noqa: RUF012
    possible_agents = ("few", "many")
    spaces = {}  # noqa: RUF012

    def observation_space(self, agent):
        return gymnasium.spaces.Box(-1, 1, (3,))

    def action_space(self, agent):
        return self.spaces[agent]

    def reset(self, seed=None, options=None):
        self.agents, self.t = list(self.possible_agents), 0
        return self.all(np.zeros(3)), self.all({})

    def step(self, actions):
        self.t += 1
        if end := self.t == 4:
            self.agents = []
        seen = self.all(np.full(3, self.t / 4))
        return seen, self.all(1.0), self.all(end), self.all(False), self.all({})

    def all(self, value):
        return dict.fromkeys(self.possible_agents, value)

    def close(self):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("few", "many", "expected"),
    [
        (2, 4, [{0, 1}, {0, 1, 2, 3}]),
        ([2, 3], [4, 3], [[{0, 1}, {0, 1, 2}], [{0, 1, 2, 3}, {0, 1, 2}]]),
    ],
)
def test_a_loaded_policy_knows_them(few, many, expected, tmp_path):
    kind = gymnasium.spaces.Discrete if few == 2 else gymnasium.spaces.MultiDiscrete
    made = type("Made", (Uneven,), {"spaces": {"few": kind(few), "many": kind(many)}})
    config = dataclasses.replace(
        small_config("uneven", "mappo", epochs=1), total_steps=256, run_dir=str(tmp_path / "run")
    )
    opspo.train(config, environment=opspo.from_pettingzoo(made))
    actions = chosen(opspo.load_policy(tmp_path / "run"), SEEN, False)
    found = [
        set(own.tolist()) if own.ndim == 1 else [set(d.tolist()) for d in own.T]
        for own in np.moveaxis(actions, 1, 0)
    ]
    assert found == expected
