"""Step-wise importance sampling: against loops, and against exact state distributions."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import state_weights as oracle

from opspo.estimators import stepwise

SHAPES = [(1, 3, 1), (6, 1, 1), (7, 4, 2)]

stepwise_wis = jax.jit(stepwise.stepwise_wis, static_argnames=("inclusive", "normaliser"))


def make_batch(shape, seed, begin, spread):
    rng = np.random.default_rng(seed)
    first = rng.random(shape[:2]) < begin
    return spread * rng.normal(size=shape), first


batches = st.builds(
    make_batch,
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 2**31),
    begin=st.sampled_from([0.0, 0.3, 1.0]),
    spread=st.sampled_from([0.0, 0.5, 2.0]),
)
both = pytest.mark.parametrize("inclusive", [False, True])


@both
@given(batch=batches)
def test_weights_are_their_products_over_their_mean(inclusive, batch):
    log_ratio, first = batch
    got = stepwise_wis(log_ratio, first, inclusive=inclusive)
    assert got.shape == log_ratio.shape
    for agent in range(log_ratio.shape[-1]):
        expected = oracle.stepwise_wis(np.exp(log_ratio[..., agent]), first, inclusive)
        np.testing.assert_allclose(got[..., agent], expected, rtol=1e-10)


@both
@given(batch=batches)
def test_as_printed_the_weights_sum_to_one(inclusive, batch):
    """Over the trajectories, at each number of steps from their start."""
    log_ratio, first = batch
    got = np.asarray(stepwise_wis(log_ratio, first, inclusive=inclusive, normaliser="sum"))
    totals = {}
    for e, steps in oracle.cut(first):
        for age, t in enumerate(steps):
            totals[age] = totals.get(age, 0) + got[t, e]
    np.testing.assert_allclose(list(totals.values()), np.ones((len(totals), got.shape[-1])))
    for agent in range(log_ratio.shape[-1]):
        ratio = np.exp(log_ratio[..., agent])
        expected = oracle.stepwise_wis(ratio, first, inclusive, normaliser="sum")
        np.testing.assert_allclose(got[..., agent], expected, rtol=1e-10)


@given(batch=batches)
def test_steps_since_start_count_from_each_first(batch):
    _, first = batch
    got = np.asarray(stepwise.steps_since_start(first))
    for e, steps in oracle.cut(first):
        assert got[steps, e].tolist() == list(range(len(steps)))


@both
@given(batch=batches)
def test_mean_is_one_at_each_step_index(inclusive, batch):
    log_ratio, first = batch
    weight = np.asarray(stepwise_wis(log_ratio, first, inclusive=inclusive))
    by_age = {}
    for e, steps in oracle.cut(first):
        for age, t in enumerate(steps):
            by_age.setdefault(age, []).append(weight[t, e])
    for rows in by_age.values():
        np.testing.assert_allclose(np.mean(rows, axis=0), 1, rtol=1e-10)


@given(batch=batches)
def test_weights_restart_at_one_with_each_episode(batch):
    log_ratio, first = batch
    weight = np.asarray(stepwise_wis(log_ratio, first))
    np.testing.assert_allclose(weight[first], 1, rtol=1e-12)
    np.testing.assert_allclose(weight[0], 1, rtol=1e-12)


@both
def test_the_last_ratio_counts_only_in_the_inclusive_product(inclusive):
    log_ratio, first = make_batch((6, 4, 1), 0, 0.0, 0.5)
    bumped = log_ratio.copy()
    bumped[-1, 0] += 1
    before, after = (
        np.asarray(stepwise_wis(x, first, inclusive=inclusive)) for x in (log_ratio, bumped)
    )
    np.testing.assert_array_equal(before[:-1], after[:-1])
    assert np.allclose(before[-1], after[-1]) != inclusive


@both
def test_long_products_stay_finite(inclusive):
    """Σ log r of thousands overflows an exponential not taken relative to the largest."""
    log_ratio, first = make_batch((50, 4, 1), 1, 0.0, 300.0)
    weight = np.asarray(stepwise_wis(log_ratio, first, inclusive=inclusive))
    assert np.isfinite(weight).all()
    np.testing.assert_allclose(weight.mean(axis=1), 1, rtol=1e-10)


STATES, ACTIONS, STEPS, ENVS = 3, 2, 4, 60_000


@pytest.fixture(scope="module")
def tabular():
    """A random MDP: exact p_new(s_t) / p_old(s_t) [t, s], action ratios, a simulated batch."""
    rng = np.random.default_rng(7)
    transition = rng.dirichlet(0.3 * np.ones(STATES), size=(STATES, ACTIONS))
    start = rng.dirichlet(np.ones(STATES))
    old = rng.dirichlet(3 * np.ones(ACTIONS), size=STATES)
    new = rng.dirichlet(3 * np.ones(ACTIONS), size=STATES)

    def marginals(policy):
        rows = [start]
        for _ in range(STEPS - 1):
            following = np.zeros(STATES)
            for s, a, after in np.ndindex(STATES, ACTIONS, STATES):
                following[after] += rows[-1][s] * policy[s, a] * transition[s, a, after]
            rows.append(following)
        return np.array(rows)

    def draw(probabilities):
        """One index for each row."""
        return (rng.random((len(probabilities), 1)) > probabilities.cumsum(1)[:, :-1]).sum(1)

    state = draw(np.tile(start, (ENVS, 1)))
    states, actions = [], []
    for _ in range(STEPS):
        action = draw(old[state])
        states.append(state)
        actions.append(action)
        state = draw(transition[state, action])
    states, actions = np.array(states), np.array(actions)
    ratio = new / old
    return marginals(new) / marginals(old), ratio, states, actions


def mean_weight(weight, states, actions):
    """Mean weight of the samples at each (t, s, a)."""
    out = np.zeros((STEPS, STATES, ACTIONS))
    for t, s, a in np.ndindex(out.shape):
        out[t, s, a] = weight[t, (states[t] == s) & (actions[t] == a)].mean()
    return out


def weights_of(tabular, inclusive):
    _, ratio, states, actions = tabular
    log_ratio = np.log(ratio[states, actions])[..., None]
    first = np.arange(STEPS)[:, None] == np.zeros(ENVS)
    weight = stepwise_wis(log_ratio, first, inclusive=inclusive)
    return mean_weight(np.asarray(weight)[..., 0], states, actions)


def test_exclusive_weight_is_the_density_ratio_of_the_state_whatever_the_action(tabular):
    exact = tabular[0][:, :, None]
    assert np.abs(exact - 1).max() > 0.3  # the policies do differ
    weight = weights_of(tabular, inclusive=False)
    np.testing.assert_allclose(weight, np.broadcast_to(exact, weight.shape), rtol=0.05)


def test_inclusive_weight_is_that_of_the_state_and_the_action(tabular):
    """As printed, ω(s_t) also carries r_t: off from the state's by the action's ratio."""
    exact, ratio, _, _ = tabular
    weight = weights_of(tabular, inclusive=True)
    np.testing.assert_allclose(weight, exact[:, :, None] * ratio, rtol=0.05)
    assert np.abs(weight - exact[:, :, None]).max() > 0.3
