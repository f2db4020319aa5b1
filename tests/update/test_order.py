"""Orders of the agents: permutations, and what decides them."""

from typing import get_args

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opspo.algorithms.names import OrderName
from opspo.update import orders
from opspo.update.scores import scores

KEYS = 600
ORDERS = {name: getattr(orders, name) for name in get_args(OrderName)}
COMPILED = {name: jax.jit(function) for name, function in ORDERS.items()}
OVER_KEYS = {
    name: jax.jit(jax.vmap(function, in_axes=(0, None))) for name, function in ORDERS.items()
}

# few different numbers, so that ties are frequent
score_lists = st.sampled_from([1, 4]).flatmap(
    lambda n: st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0]), min_size=n, max_size=n)
)
seeds = st.integers(0, 2**31)


def many_keys():
    return jax.random.split(jax.random.PRNGKey(0), KEYS)


@pytest.mark.parametrize("name", list(ORDERS))
@given(score=score_lists, seed=seeds)
def test_every_order_is_a_permutation(name, score, seed):
    got = COMPILED[name](jax.random.PRNGKey(seed), np.array(score))
    assert sorted(np.asarray(got).tolist()) == list(range(len(score)))


@given(score=score_lists, seed=seeds)
def test_greedy_descends(score, seed):
    got = np.asarray(COMPILED["greedy"](jax.random.PRNGKey(seed), np.array(score)))
    assert [score[i] for i in got] == sorted(score, reverse=True)


@given(score=score_lists, seed=seeds)
def test_semi_greedy_takes_the_best_left_every_other_time(score, seed):
    got = np.asarray(COMPILED["semi_greedy"](jax.random.PRNGKey(seed), np.array(score)))
    for position in range(0, len(got), 2):
        assert score[got[position]] == max(score[i] for i in got[position:])


def test_semi_greedy_takes_any_of_those_left_in_between():
    orders = np.asarray(OVER_KEYS["semi_greedy"](many_keys(), np.array([3.0, 9.0, 1.0, 2.0])))
    assert (orders[:, 0] == 1).all()
    shares = np.bincount(orders[:, 1], minlength=4) / KEYS
    np.testing.assert_allclose(shares, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.06)
    expected_third = np.where(orders[:, 1] == 0, 3, 0)  # the better of the two left
    np.testing.assert_array_equal(orders[:, 2], expected_third)


def test_losing_a_tie_does_not_count_against_an_agent_in_the_random_turn():
    orders = np.asarray(OVER_KEYS["semi_greedy"](many_keys(), np.array([5.0, 5.0, 1.0, 1.0])))
    runner_up = orders[:, 1] == 1 - orders[:, 0]
    np.testing.assert_allclose(runner_up.mean(), 1 / 3, atol=0.06)


@given(seed=seeds)
def test_cyclic_orders(seed):
    key, score = jax.random.PRNGKey(seed), np.array([1.0, 0, 5, 2])
    assert np.asarray(COMPILED["cyclic"](key, score)).tolist() == [0, 1, 2, 3]
    assert np.asarray(COMPILED["reverse_cyclic"](key, score)).tolist() == [3, 2, 1, 0]


@given(score=score_lists, seed=seeds)
def test_reverse_semi_greedy_takes_the_worst_left_every_other_time(score, seed):
    """A2PO-ICLR2023, onpolicy/algorithms/r_mappo/r_mappo.py, line 1331: sorted upwards, then by
    turns the first and any."""
    got = np.asarray(COMPILED["reverse_semi_greedy"](jax.random.PRNGKey(seed), np.array(score)))
    for position in range(0, len(got), 2):
        assert score[got[position]] == min(score[i] for i in got[position:])


def test_reverse_semi_greedy_takes_any_of_those_left_in_between():
    """The best may come second, which the semi-greedy order from its end has last of four."""
    orders = np.asarray(
        OVER_KEYS["reverse_semi_greedy"](many_keys(), np.array([3.0, 9.0, 1.0, 2.0]))
    )
    assert (orders[:, 0] == 2).all()
    shares = np.bincount(orders[:, 1], minlength=4) / KEYS
    np.testing.assert_allclose(shares, [1 / 3, 1 / 3, 0, 1 / 3], atol=0.06)


@pytest.mark.parametrize("name", ["cyclic", "greedy"])
@given(score=score_lists, seed=seeds)
def test_reverse_orders_run_from_the_end(name, score, seed):
    key, score = jax.random.PRNGKey(seed), np.array(score)
    forwards = np.asarray(COMPILED[name](key, score)).tolist()
    backwards = np.asarray(COMPILED["reverse_" + name](key, score)).tolist()
    assert backwards == forwards[::-1]


@pytest.mark.parametrize(
    "name", ["random", "greedy", "reverse_greedy", "semi_greedy", "reverse_semi_greedy"]
)
def test_ties_are_broken_evenly(name):
    orders = np.asarray(OVER_KEYS[name](many_keys(), np.full(4, 2.0)))
    for position in range(4):
        shares = np.bincount(orders[:, position], minlength=4) / KEYS
        np.testing.assert_allclose(shares, 0.25, atol=0.07)


def test_random_order_does_not_look_at_the_scores():
    orders = np.asarray(OVER_KEYS["random"](many_keys(), np.array([1.0, 100, 0, 0])))
    for position in range(4):
        shares = np.bincount(orders[:, position], minlength=4) / KEYS
        np.testing.assert_allclose(shares, 0.25, atol=0.07)


@given(seed=seeds)
def test_scores_are_means_over_living_steps(seed):
    rng = np.random.default_rng(seed)
    advantage, value = rng.normal(size=(2, 5, 2, 1))
    value[0] = 1e-9  # kept away from 0
    alive = rng.random((5, 2, 3)) < 0.6
    alive[:, :, 2] = False
    got = scores(advantage, value, alive)
    for agent in range(3):
        terms = [
            abs(advantage[t, e, 0]) / max(abs(value[t, e, 0]), 1e-3)
            for t, e in np.ndindex(5, 2)
            if alive[t, e, agent]
        ]
        expected = sum(terms) / len(terms) if terms else 0.0
        np.testing.assert_allclose(got[agent], expected, rtol=1e-10)


def test_scores_with_critics_of_their_own_are_each_agents():
    value = np.array([1.0, 5.0, 10.0])
    alive = np.ones((4, 2, 3), bool)
    advantage = np.full((4, 2, 3), 10.0)
    found = scores(advantage, np.broadcast_to(value, alive.shape), alive)
    np.testing.assert_allclose(found, [10, 2, 1])
