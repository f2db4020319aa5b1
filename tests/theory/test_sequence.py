"""An update solved agent by agent, and estimates on endless data, against sums over time."""

import itertools
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import theory as oracle

from opspo.estimators.advantages import trace
from opspo.theory import estimates, games, sequence

STATES, AGENTS, ACTIONS, GAMMA = 4, 3, 2, 0.8
FOREVER = 200
"""Steps after which γ^t is below rounding"""


@lru_cache
def solved(agents=AGENTS, states=STATES):
    """A game, and the update of its team, in NumPy."""

    @jax.jit
    def draw(key):
        game_key, old_key, step_key = jax.random.split(key, 3)
        sizes = {"states": states, "agents": agents, "actions": ACTIONS}
        game = games.random_game(game_key, **sizes)
        logits = games.random_logits(old_key, **sizes)
        moved = logits + games.random_logits(step_key, **sizes, spread=0.7)
        old, new = jax.nn.softmax(logits), jax.nn.softmax(moved)
        return game, sequence.solve(game, old, new, gamma=GAMMA)

    return oracle.plain(draw(jax.random.PRNGKey(agents)))


def test_each_turn_updates_one_more_agent():
    game, update = solved()
    assert update.joint.shape == (AGENTS + 1, STATES, ACTIONS**AGENTS)
    for turns in range(AGENTS + 1):
        expected = oracle.product(oracle.after_turns(update.old, update.new, turns))
        np.testing.assert_allclose(update.joint[turns], expected, rtol=1e-12)
        performance, distribution, advantage = oracle.over_time(game, expected, GAMMA, FOREVER)
        np.testing.assert_allclose(update.performance[turns], performance, rtol=1e-10)
        np.testing.assert_allclose(update.distribution[turns], distribution, atol=1e-12)
        np.testing.assert_allclose(update.advantage[turns], advantage, atol=1e-10)


def test_the_two_oracles_agree():
    game, update = solved()
    for joint in update.joint:
        summed = oracle.over_time(game, joint, GAMMA, FOREVER)
        for a, b in zip(summed, oracle.exact(game, joint, GAMMA), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


def test_total_variation():
    _, update = solved()
    got = sequence.total_variation(update)
    assert got.shape == (AGENTS, STATES)
    for i, s in np.ndindex(got.shape):
        larger = [max(q - p, 0) for p, q in zip(update.old[i, s], update.new[i, s], strict=True)]
        np.testing.assert_allclose(got[i, s], sum(larger), rtol=1e-12)


@pytest.mark.parametrize("agent", range(AGENTS))
def test_marginal_is_the_mean_over_the_team_mates(agent):
    _, update = solved()
    values = np.random.default_rng(agent).normal(size=(STATES, ACTIONS**AGENTS))
    team = oracle.after_turns(update.old, update.new, agent)
    nobody = np.ones((STATES, 1))
    sides = team[:agent], team[agent + 1 :]
    before, after = (oracle.product(side) if side else nobody for side in sides)
    got = sequence.marginal(values, before, after)
    np.testing.assert_allclose(got, oracle.own_mean(values, team, agent), rtol=1e-10)


@pytest.mark.parametrize("agents", [1, 2, AGENTS])
def test_own_span_is_what_an_agents_choice_can_change(agents):
    """Agents before it play their new policies, those after it their old ones."""
    _, update = solved(agents)
    values = np.random.default_rng(0).normal(size=(agents, STATES, ACTIONS**agents))
    got = sequence.own_span(update, values)
    for i in range(agents):
        team = oracle.after_turns(update.old, update.new, i)
        mean = oracle.own_mean(values[i], team, i)
        expected = [max(row) - min(row) for row in mean]
        np.testing.assert_allclose(got[i], expected, rtol=1e-10)


def traced(game, update, gae_lambda):
    return estimates.traces(game, update, gamma=GAMMA, gae_lambda=gae_lambda)


@pytest.mark.parametrize("gae_lambda", [0.6, 1.0])
def test_expected_trace_is_a_sum_over_time(gae_lambda):
    game, update = solved()
    got = traced(game, update, gae_lambda)
    assert got.shape == (AGENTS, STATES, ACTIONS**AGENTS)
    numbers = {"gamma": GAMMA, "gae_lambda": gae_lambda, "terms": FOREVER}
    for i in range(AGENTS):
        joints = update.joint[0], update.joint[i]
        expected = oracle.trace(game, *joints, update.advantage[0], **numbers)
        np.testing.assert_allclose(got[i], expected, atol=1e-10)
        if i:
            assert abs(expected - update.advantage[0]).max() > 1e-3


@pytest.mark.parametrize("gae_lambda", [0.0, 0.7, 1.0])
def test_nobody_moved_leaves_the_traces_mean_at_the_advantage(gae_lambda):
    """GAE(λ) with the exact V^π is A^π on average: TD errors to come are 0 on average."""
    game, update = solved()
    got = traced(game, update, gae_lambda)
    np.testing.assert_allclose(got[0], update.advantage[0], atol=1e-12)


def test_without_a_trace_the_td_error_remains():
    game, update = solved()
    for got in traced(game, update, 0.0):
        np.testing.assert_allclose(got, update.advantage[0], atol=1e-12)


def every_path(game, joint, length):
    """All paths of so many steps: states [T + 1, m], actions [T, m], and their probabilities
    given the first state and action."""
    states, actions = joint.shape
    rows = []
    for start in itertools.product(range(states), range(actions)):
        tails = itertools.product(range(states), range(actions), repeat=length - 1)
        for tail, last in itertools.product(tails, range(states)):
            path, share = [*start, *tail, last], 1.0
            for k in range(0, 2 * length, 2):
                share *= game.transition[path[k], path[k + 1], path[k + 2]]
                if k:
                    share *= joint[path[k], path[k + 1]]
            rows.append((path[::2], path[1::2], share))
    paths, taken, shares = zip(*rows, strict=True)
    return np.array(paths).T, np.array(taken).T, np.array(shares)


def test_expected_trace_is_the_mean_of_the_algorithms_own_over_all_paths():
    """`trace` on every path of four steps; the sum over time stops there, too."""
    length, gae_lambda = 4, 0.9
    game, update = solved(agents=2, states=2)
    state, action, share = every_path(game, update.joint[0], length)
    value = oracle.value(game, update.joint[0], GAMMA)
    columns = {
        "reward": game.reward[state[:-1], action],
        "value": value[state[:-1]],
        "next_value": value[state[1:]],
        "log_ratio": np.log(update.joint[1] / update.joint[0])[state[:-1], action],
    }
    got = trace(
        **{name: jnp.asarray(x)[..., None] for name, x in columns.items()},
        done=jnp.zeros((*action.shape, 1), bool),
        gamma=GAMMA,
        gae_lambda=gae_lambda,
    )[0, :, 0]
    average = np.zeros_like(game.reward)
    np.add.at(average, (state[0], action[0]), share * np.asarray(got))
    numbers = {"gamma": GAMMA, "gae_lambda": gae_lambda}
    joints = update.joint[0], update.joint[1]
    expected = oracle.trace(game, *joints, update.advantage[0], **numbers, terms=length)
    np.testing.assert_allclose(average, expected, atol=1e-12)
    endless = traced(game, update, gae_lambda)[1]
    left = abs(update.advantage[0]).max() * (GAMMA * gae_lambda) ** length / (1 - GAMMA)
    np.testing.assert_allclose(average, endless, atol=left)


def test_capped_weight_never_counts_a_state_more_than_the_data_do():
    _, update = solved()
    got = estimates.capped_weight(update)
    for i, s in np.ndindex(AGENTS, STATES):
        omega = update.distribution[i, s] / update.distribution[0, s]
        expected = min(omega, 1) * update.distribution[0, s]
        np.testing.assert_allclose(got[i, s], expected, rtol=1e-12)
    np.testing.assert_allclose(got.sum(axis=1)[0], 1)
    assert (got.sum(axis=1)[1:] < 0.999).all()


def test_pairs_of_estimates():
    """Index i − 1 is what agent i has: all of π̂^{i−1}, or of π."""
    game, update = solved()
    key = jax.random.PRNGKey(0)
    pairs = jax.jit(partial(estimates.estimates, gamma=GAMMA, gae_lambda=0.9))(game, update, key)
    named = {
        name: (pairs.distribution[j], pairs.advantage[j]) for j, name in enumerate(estimates.PAIRS)
    }
    data = np.stack([update.distribution[0]] * AGENTS), np.stack([update.advantage[0]] * AGENTS)
    true = update.distribution[:AGENTS], update.advantage[:AGENTS]
    trace = traced(game, update, 0.9)
    expected = {
        "none": data,
        "advantage": (data[0], true[1]),
        "distribution": (true[0], data[1]),
        "trace": (data[0], trace),
        "trace and capped weight": (np.minimum(true[0], data[0]), trace),
        "both": true,
    }
    for name, arrays in expected.items():
        for got, array in zip(named.pop(name), arrays, strict=True):
            np.testing.assert_allclose(got, array, atol=1e-12, err_msg=name)
    [(name, (distribution, advantage))] = named.items()
    assert name == "drawn errors"
    np.testing.assert_allclose(distribution.sum(axis=-1), 1, rtol=1e-12)
    assert (distribution > 0).all()
    off = abs(advantage - true[1])
    assert 0.01 < off.max() / abs(update.advantage).max() < 1
