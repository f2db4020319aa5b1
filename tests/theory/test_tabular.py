"""Exact quantities of tabular problems, against sums over time and against rollouts."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.density_ratio import restarting, visits

from opspo.theory import games, tabular

STATES, AGENTS, ACTIONS, GAMMA = 5, 3, 2, 0.9


@pytest.fixture
def problem():
    """A game, logits of its team, and a direction in which the first two agents go."""
    keys = jax.random.split(jax.random.PRNGKey(0), 3)
    sizes = {"states": STATES, "agents": AGENTS, "actions": ACTIONS}
    logits = games.random_logits(keys[1], **sizes)
    direction = jax.random.normal(keys[2], logits.shape).at[-1].set(0)
    return games.random_game(keys[0], **sizes), logits, direction


def joint_of(logits):
    return tabular.joint_policy(jax.nn.softmax(logits))


def moved(problem, size=0.4):
    return tabular.move(*problem, size=size, gamma=GAMMA)


def never(joint):
    return np.zeros(joint.shape)


def test_probabilities_sum_to_one(problem):
    game, logits, _ = problem
    for probabilities in (game.transition, game.initial, joint_of(logits)):
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=1e-12)
        assert (probabilities >= 0).all()


def test_joint_policy_is_the_product_with_the_last_agent_fastest(problem):
    policies = np.asarray(jax.nn.softmax(problem[1]))
    joint = tabular.joint_policy(jnp.asarray(policies))
    for x, actions in enumerate(itertools.product(range(ACTIONS), repeat=AGENTS)):
        for s in range(STATES):
            expected = np.prod([policies[i, s, a] for i, a in enumerate(actions)])
            np.testing.assert_allclose(joint[s, x], expected, rtol=1e-12)


def test_state_distributions_are_sums_over_time(problem):
    game, logits, _ = problem
    joint = joint_of(logits)
    arrays = [np.asarray(x) for x in (game.initial, game.transition, joint)]
    summed = visits(*arrays, GAMMA, never(joint))
    got = tabular.discounted_distribution(game, joint, gamma=GAMMA)
    np.testing.assert_allclose(got, summed, atol=1e-12)
    got = tabular.stationary_distribution(game, joint)
    np.testing.assert_allclose(got, restarting(*arrays, never(joint)), atol=1e-12)


def test_values_are_sums_of_rewards_over_time(problem):
    game, logits, _ = problem
    joint = np.asarray(joint_of(logits))
    transition, reward = np.asarray(game.transition), np.asarray(game.reward)
    value = np.zeros(STATES)
    for _ in range(400):
        outcome = reward + GAMMA * transition @ value
        value = (joint * outcome).sum(axis=1)
    np.testing.assert_allclose(tabular.state_value(game, joint, gamma=GAMMA), value, rtol=1e-10)
    advantage = tabular.advantage(game, joint, gamma=GAMMA)
    np.testing.assert_allclose(advantage, outcome - value[:, None], atol=1e-10)
    expected = np.asarray(game.initial) @ value
    np.testing.assert_allclose(tabular.expected_return(game, joint, gamma=GAMMA), expected)


def test_performance_difference(problem):
    """J(π̂) − J(π) = E_{d^π̂, π̂}[A^π] / (1 − γ) (Kakade and Langford 2002)."""
    game, logits, _ = problem
    old, new = joint_of(logits), joint_of(moved(problem))
    ours = partial(tabular.expected_return, game, gamma=GAMMA)
    gain = (new * tabular.advantage(game, old, gamma=GAMMA)).sum(axis=-1)
    distribution = tabular.discounted_distribution(game, new, gamma=GAMMA)
    np.testing.assert_allclose(ours(new) - ours(old), distribution @ gain / (1 - GAMMA), rtol=1e-9)


@pytest.mark.parametrize("size", [0.05, 0.2, 0.5])
def test_a_move_has_the_size_asked_for_and_leaves_the_others(problem, size):
    game, logits, _ = problem
    new = moved(problem, size)
    old, joint = joint_of(logits), joint_of(new)
    got = tabular.mean_log_ratio(game, old, joint, gamma=GAMMA)
    np.testing.assert_allclose(got, size, rtol=1e-9)
    np.testing.assert_array_equal(new[-1], logits[-1])
    assert jnp.abs(new[:-1] - logits[:-1]).min() > 0


def test_rollouts_follow_the_game(problem):
    game, logits, _ = problem
    joint = joint_of(logits)
    roll = jax.jit(tabular.sample, static_argnames=("trajectories", "steps"))
    state, action = roll(game, joint, jax.random.PRNGKey(1), trajectories=20_000, steps=6)
    assert state.shape == (7, 20_000)
    assert action.shape == (6, 20_000)

    first = np.bincount(state[0], minlength=STATES) / state.shape[1]
    np.testing.assert_allclose(first, game.initial, atol=0.02)
    counts = np.zeros((*joint.shape, STATES))
    np.add.at(counts, tuple(np.asarray(x).ravel() for x in (state[:-1], action, state[1:])), 1)
    shares = counts / counts.sum()
    occupancy = shares.sum(axis=(1, 2))
    expected = occupancy[:, None, None] * np.asarray(joint)[..., None] * game.transition
    np.testing.assert_allclose(shares, expected, atol=0.005)


def test_a_batch_of_teams_is_a_vmap(problem):
    game, logits, direction = problem
    joints = [joint_of(logits + step * direction) for step in (0.0, 0.5, 1.0)]
    value = partial(tabular.expected_return, game, gamma=GAMMA)
    np.testing.assert_allclose(jax.vmap(value)(jnp.stack(joints)), [value(x) for x in joints])
