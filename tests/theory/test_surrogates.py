"""What each algorithm believes that an update brings, against loops over states and actions."""

from functools import lru_cache, partial

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from oracles import theory as oracle

from opspo.theory import games, sequence, surrogates
from opspo.theory.estimates import Estimate, of_the_data

STATES, AGENTS, ACTIONS, GAMMA = 3, 3, 2, 0.8


@partial(jax.jit, static_argnames="agents")
def draw(key, *, agents):
    """A game, the update of its team, and estimates for it, wrong in both."""
    game_key, old_key, step_key, given_key = jax.random.split(key, 4)
    sizes = {"states": STATES, "agents": agents, "actions": ACTIONS}
    game = games.random_game(game_key, **sizes, concentration=1.0)
    logits = games.random_logits(old_key, **sizes)
    moved = logits + games.random_logits(step_key, **sizes)
    update = sequence.solve(game, jax.nn.softmax(logits), jax.nn.softmax(moved), gamma=GAMMA)
    noise, other = jax.random.split(given_key)
    estimate = Estimate(
        distribution=jax.nn.softmax(jax.random.normal(other, (agents, STATES))),
        advantage=update.advantage[:-1]
        + 0.3 * jax.random.normal(noise, (agents, STATES, ACTIONS**agents)),
    )
    return game, update, estimate


@lru_cache
def problem(agents=AGENTS, seed=0):
    return oracle.plain(draw(jax.random.PRNGKey(seed), agents=agents))


def mean_advantage(distribution, policies, advantage):
    """E[A] / (1 − γ)."""
    return oracle.mean(distribution, oracle.product(policies), advantage) / (1 - GAMMA)


def test_corrected_gain_is_that_of_the_team_after_the_turn():
    """Of π̂^i, on the estimates for π̂^{i−1}."""
    _, update, estimate = problem()
    got = surrogates.corrected_gain(update, estimate, gamma=GAMMA)
    for i in range(AGENTS):
        team = oracle.after_turns(update.old, update.new, i + 1)
        expected = mean_advantage(estimate.distribution[i], team, estimate.advantage[i])
        np.testing.assert_allclose(got[i], expected, rtol=1e-10)


def test_centred_gain_takes_away_what_is_there_without_a_step():
    _, update, estimate = problem()
    got = surrogates.centred_gain(update, estimate, gamma=GAMMA)
    for i in range(AGENTS):
        after, before = (
            mean_advantage(
                estimate.distribution[i],
                oracle.after_turns(update.old, update.new, turns),
                estimate.advantage[i],
            )
            for turns in (i + 1, i)
        )
        np.testing.assert_allclose(got[i], after - before, rtol=1e-10, atol=1e-12)
        assert abs(before) > 1e-3


def test_centred_gain_of_an_agent_that_stays_is_nothing():
    _, update, estimate = problem()
    still = update.replace(joint=np.stack([update.joint[1]] * (AGENTS + 1)))
    np.testing.assert_array_equal(surrogates.centred_gain(still, estimate, gamma=GAMMA), 0)


def test_with_the_exact_advantage_nothing_has_to_be_taken_away():
    _, update, estimate = problem()
    exact = estimate.replace(advantage=update.advantage[:-1])
    plain = surrogates.corrected_gain(update, exact, gamma=GAMMA)
    centred = surrogates.centred_gain(update, exact, gamma=GAMMA)
    np.testing.assert_allclose(plain, centred, rtol=1e-9, atol=1e-12)


def test_mappo_gain_has_each_agent_move_alone():
    _, update, _ = problem()
    got = surrogates.mappo_gain(update, gamma=GAMMA)
    for i in range(AGENTS):
        team = [*update.old[:i], update.new[i], *update.old[i + 1 :]]
        expected = mean_advantage(update.distribution[0], team, update.advantage[0])
        np.testing.assert_allclose(got[i], expected, rtol=1e-10)


def test_happo_gain_is_what_the_agent_adds_to_those_before_it():
    _, update, _ = problem()
    got = surrogates.happo_gain(update, gamma=GAMMA)
    whole = [
        mean_advantage(
            update.distribution[0],
            oracle.after_turns(update.old, update.new, turns),
            update.advantage[0],
        )
        for turns in range(AGENTS + 1)
    ]
    np.testing.assert_allclose(got, np.diff(whole), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got.sum(), whole[-1], rtol=1e-9)  # CoPPO's joint gain


def test_a2po_gain_has_the_corrected_advantage_on_the_states_of_the_data():
    _, update, estimate = problem()
    got = surrogates.a2po_gain(update, estimate, gamma=GAMMA)
    for i in range(AGENTS):
        team = oracle.after_turns(update.old, update.new, i + 1)
        expected = mean_advantage(update.distribution[0], team, estimate.advantage[i])
        np.testing.assert_allclose(got[i], expected, rtol=1e-10)


def test_with_one_agent_all_are_the_same():
    _, update, _ = problem(agents=1)
    data = of_the_data(update)
    gains = [
        surrogates.corrected_gain(update, data, gamma=GAMMA),
        surrogates.centred_gain(update, data, gamma=GAMMA),
        surrogates.a2po_gain(update, data, gamma=GAMMA),
        surrogates.happo_gain(update, gamma=GAMMA),
        surrogates.mappo_gain(update, gamma=GAMMA),
    ]
    assert abs(gains[0][0]) > 1e-2
    for gain in gains:
        np.testing.assert_allclose(gain, gains[0], rtol=1e-9)


def test_errors_are_distances_from_what_the_update_brings():
    game, update, estimate = problem()
    gains = surrogates.corrected_gain(update, estimate, gamma=GAMMA)
    returns = [
        oracle.exact(game, oracle.product(oracle.after_turns(update.old, update.new, i)), GAMMA)[0]
        for i in range(AGENTS + 1)
    ]
    got = surrogates.errors(update, gains)
    for i in range(AGENTS):
        expected = abs(returns[i + 1] - (returns[i] + gains[i]))
        np.testing.assert_allclose(got[i], expected, rtol=1e-8)
    expected = abs(returns[-1] - (returns[0] + sum(gains)))
    np.testing.assert_allclose(surrogates.joint_error(update, gains), expected, rtol=1e-8)


@given(seed=st.integers(0, 2**31))
def test_the_joint_error_is_no_more_than_those_of_the_agents_together(seed):
    """Eq. 7, whatever the estimates are."""
    _, update, estimate = problem(seed=seed)
    for chosen in (estimate, of_the_data(update)):
        gains = surrogates.corrected_gain(update, chosen, gamma=GAMMA)
        together = surrogates.errors(update, gains).sum()
        assert surrogates.joint_error(update, gains) <= together + 1e-12
