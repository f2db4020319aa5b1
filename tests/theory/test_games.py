"""The families of games: valid, and what their descriptions say."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.theory import joint_actions

from opspo.theory import games, tabular
from opspo.theory.checks import FAMILIES

DRAWS = 6
TEAMS = (2, 3, 4)


def family(name, agents):
    """How to draw a game of a family, and its numbers of states and joint actions."""
    sizes = {"states": 4, "agents": agents, "actions": 2}
    cells = 2 if agents == 4 else 3
    draw, states, actions = {
        "dense": (partial(games.dense_game, **sizes), 4, 2),
        "sparse": (partial(games.sparse_game, **sizes), 4, 2),
        "chain": (partial(games.chain, **sizes), 4, 2),
        "meeting": (partial(games.meeting, cells=cells, agents=agents), cells**agents, 3),
        "penalty": (partial(games.penalty, agents=agents, stages=3), 3, 3),
    }[name]
    return draw, states, actions**agents


@lru_cache
def drawn(name, agents):
    """A batch of games of the family, in NumPy."""
    draw, _, _ = family(name, agents)
    keys = jax.random.split(jax.random.PRNGKey(agents), DRAWS)
    return jax.device_get(jax.jit(jax.vmap(draw))(keys))


def one_by_one(batch):
    return [jax.tree.map(lambda x, k=k: x[k], batch) for k in range(DRAWS)]


@pytest.mark.parametrize("agents", TEAMS)
@pytest.mark.parametrize("name", ["dense", "sparse", "chain", "meeting", "penalty"])
def test_games_are_valid_and_differ_from_draw_to_draw(name, agents):
    _, states, joint = family(name, agents)
    batch = drawn(name, agents)
    assert batch.transition.shape == (DRAWS, states, joint, states)
    assert batch.initial.shape == (DRAWS, states)
    assert batch.reward.shape == (DRAWS, states, joint)
    for probabilities in (batch.transition, batch.initial):
        assert probabilities.dtype == np.float64
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-12)
    assert np.isfinite(batch.reward).all()
    assert len({reward.tobytes() for reward in batch.reward}) == DRAWS


@pytest.mark.parametrize("one", FAMILIES, ids=lambda f: f.name)
def test_families_of_the_checks_have_the_shape_they_say(one):
    game = jax.eval_shape(one.draw, jax.random.PRNGKey(0))
    assert game.transition.shape == (one.states, one.actions**one.agents, one.states)
    assert game.reward.shape == game.transition.shape[:2]


@pytest.mark.parametrize(("agents", "actions"), [(1, 3), (2, 3), (3, 2), (4, 2)])
def test_joint_actions_are_numbered_as_in_joint_policies(agents, actions):
    table = games.joint_actions(agents, actions)
    np.testing.assert_array_equal(table, joint_actions(agents, actions))
    for x, row in enumerate(table):
        certain = jax.nn.one_hot(row, actions, dtype=float)[:, None]  # [n, 1, A]
        np.testing.assert_array_equal(tabular.joint_policy(certain)[0], np.arange(len(table)) == x)


def test_concentration_is_what_tells_random_games_apart():
    dense, sparse = drawn("dense", 3).transition, drawn("sparse", 3).transition
    assert np.median(dense.max(axis=-1)) < 0.65
    assert np.median(sparse.max(axis=-1)) > 0.9
    assert np.median(dense.min(axis=-1)) > 0.01


@pytest.mark.parametrize("agents", TEAMS)
def test_chain_goes_forward_only_together(agents):
    for game in one_by_one(drawn("chain", agents)):
        last = len(game.initial) - 1
        np.testing.assert_array_equal(game.initial, np.eye(last + 1)[0])
        slip = game.transition[1, 0, 2]  # nobody plays the last action
        assert 0 < slip < 0.3
        small = game.reward[0, 0]
        assert 0 < small < 0.5
        for s in range(last + 1):
            np.testing.assert_array_equal(game.reward[s], small if s == 0 else float(s == last))
            for x, action in enumerate(joint_actions(agents, 2)):
                forward = 1 - slip if set(action) == {1} else slip
                expected = np.zeros(last + 1)
                expected[min(s + 1, last)] += forward
                expected[max(s - 1, 0)] += 1 - forward
                np.testing.assert_allclose(game.transition[s, x], expected, atol=1e-14)


@pytest.mark.parametrize(("agents", "cells"), [(2, 3), (3, 3), (4, 2)])
def test_meeting_moves_on_a_ring_and_pays_for_being_together(agents, cells):
    places = joint_actions(agents, cells)
    everybody_stays = joint_actions(agents, 3).index((1,) * agents)
    for game in one_by_one(drawn("meeting", agents)):
        np.testing.assert_allclose(game.initial, 1 / len(places))
        apart = places.index((0,) * (agents - 1) + (1,))
        cost = -game.reward[apart, 0]  # all step left
        fail = game.transition[0, 0, 0] if cells > 2 else game.transition[apart, 0, apart]
        assert 0 < cost < 0.2
        assert 0 < fail < 0.3
        np.testing.assert_array_equal(game.reward[0, everybody_stays], 1)
        for s, place in enumerate(places):
            for x, action in enumerate(joint_actions(agents, 3)):
                steps = [a - 1 for a in action]
                following = tuple((c + k) % cells for c, k in zip(place, steps, strict=True))
                expected = np.zeros(len(places))
                expected[places.index(following)] += 1 - fail
                expected[s] += fail
                np.testing.assert_allclose(game.transition[s, x], expected, atol=1e-14)
                pay = float(len(set(place)) == 1) - cost * sum(map(abs, steps)) / agents
                np.testing.assert_allclose(game.reward[s, x], pay, atol=1e-14)


@pytest.mark.parametrize("agents", TEAMS)
def test_penalty_pays_for_agreement_and_moves_on_with_it(agents):
    for game in one_by_one(drawn("penalty", agents)):
        stages = len(game.initial)
        np.testing.assert_allclose(game.initial, 1 / stages)
        share = game.reward[:, 0] / 10
        assert ((share >= 0.2) & (share < 1)).all()
        assert len(set(share)) == stages
        loss = game.reward[0, 2] / share[0]  # all play 0 but the last, who plays 2
        assert -10 < loss < 0
        for s in range(stages):
            for x, action in enumerate(joint_actions(agents, 3)):
                played = set(action)
                if len(played) == 1:
                    pay, following = {0: 10, 1: 2, 2: 10}[action[0]], (s + 1) % stages
                else:
                    pay, following = loss if {0, 2} <= played else 0, s
                np.testing.assert_allclose(game.reward[s, x], share[s] * pay, atol=1e-14)
                np.testing.assert_array_equal(game.transition[s, x], np.eye(stages)[following])


def test_logits_have_the_spread_asked_for():
    key = jax.random.PRNGKey(0)
    logits = games.random_logits(key, states=50, agents=3, actions=4, spread=jnp.asarray(2.5))
    assert logits.shape == (3, 50, 4)
    np.testing.assert_allclose(logits.std(), 2.5, rtol=0.1)
    np.testing.assert_allclose(logits.mean(), 0, atol=0.3)
