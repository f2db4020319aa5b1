"""The state weight by one linear solve, against exact ratios and an explicit minimisation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import density_ratio as oracle
from oracles.density_ratio import STATES, Problem

from opspo.estimators import linear_weight as linear
from opspo.estimators.density_ratio import positive_mean_one

GAMMA = 0.9
ONE_HOT = np.eye(STATES)
seeds = st.integers(0, 2**31)
forms = pytest.mark.parametrize("gamma", [GAMMA, 1.0])


@partial(jax.jit, static_argnames=("gamma", "size"))
def solve(features, successor, ratio, *rest, gamma, ridge, size=None):
    """Coefficients for the arguments of both steps."""
    equation = linear.linear_equation(features, successor, *rest, gamma=gamma, size=size)
    return linear.solve_equation(equation, ratio, ridge=ridge)


def omega_of(problem, gamma, *, features=ONE_HOT, ridge=1e-11):
    """ω of every state from exact moments, as the solve leaves it: [S]."""
    s, z, ratio, weight, goes_on = problem.steps(gamma)
    coefficients = solve(
        features[s],
        features[z],
        ratio[:, None],
        weight,
        goes_on,
        features,
        problem.initial,
        gamma=gamma,
        ridge=ridge,
    )
    return np.asarray(linear.linear_omega(features, coefficients))[:, 0]


@forms
@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("behaviours", [1, 3])
@given(seed=seeds)
def test_exact_moments_give_the_exact_ratio(gamma, ends, behaviours, seed):
    problem = Problem.make(seed, ends, behaviours)
    omega = positive_mean_one(omega_of(problem, gamma), problem.mixture(gamma))
    np.testing.assert_allclose(omega, problem.truth(gamma), atol=1e-6)


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 2.0])
@given(seed=seeds)
def test_it_minimises_what_it_says(ridge, seed):
    problem = Problem.make(seed)
    features = np.random.default_rng(seed).normal(size=(STATES, 2))
    expected = oracle.linear(
        np.column_stack([features, np.ones(STATES)]),
        *problem.arguments(problem.policies[0], GAMMA),
        ridge,
    )
    got = omega_of(problem, GAMMA, features=features, ridge=ridge)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@forms
@given(seed=seeds)
def test_any_linear_map_of_the_features_gives_the_same(gamma, seed):
    problem, rng = Problem.make(seed), np.random.default_rng(seed)
    features = rng.normal(size=(STATES, 3))
    mapped = 1e3 * features @ rng.normal(size=(3, 3)) + rng.normal(size=3)
    twice = np.concatenate([features, 2 * features], axis=1)
    first, *others = (
        omega_of(problem, gamma, features=x, ridge=0.01) for x in (features, mapped, twice)
    )
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)


def sampled(problem, gamma, size):
    """Independent steps drawn from the exact ones: s, s', ρ, weight 1, continues."""
    s, z, ratio, share, goes_on = problem.steps(gamma)
    chosen = np.random.default_rng(0).choice(len(s), size, p=share / share.sum())
    return s[chosen], z[chosen], ratio[chosen], np.ones(size), goes_on[chosen]


def test_targets_are_solved_each_by_itself():
    problem = Problem.make(0)
    s, z, ratio, weight, goes_on = sampled(problem, GAMMA, 50)
    ratios = np.stack([ratio, np.ones_like(ratio), ratio**2], axis=1)
    of = partial(solve, ONE_HOT[s], ONE_HOT[z], gamma=GAMMA, ridge=0.1)
    got = of(ratios, weight, goes_on, ONE_HOT, problem.initial)
    assert got.shape == (STATES + 1, 3)
    np.testing.assert_allclose(got[:, 1], 0, atol=1e-12)
    for k in range(3):
        alone = of(ratios[:, k : k + 1], weight, goes_on, ONE_HOT, problem.initial)
        np.testing.assert_allclose(got[:, k], alone[:, 0], atol=1e-10)


def test_where_actions_change_nothing_the_noise_of_their_ratios_does_not_either():
    """In a world that stands still ω = 1, whatever the ratios in the batch."""
    problem = Problem.make(0)
    s, _, ratio, weight, goes_on = sampled(problem, GAMMA, 50)
    here = ONE_HOT[s]
    got = solve(here, here, ratio[:, None], weight, goes_on, here, weight, gamma=GAMMA, ridge=0.01)
    assert np.abs(ratio - 1).max() > 0.2
    np.testing.assert_allclose(linear.linear_omega(ONE_HOT, got), 1, atol=1e-10)


def test_a_heavy_ridge_leaves_one():
    np.testing.assert_allclose(omega_of(Problem.make(0), GAMMA, ridge=1e9), 1, atol=1e-8)


def test_samples_of_no_weight_and_features_without_variance_do_not_count():
    problem = Problem.make(0)
    s, z, ratio, weight, goes_on = sampled(problem, GAMMA, 50)
    of = partial(solve, gamma=GAMMA, ridge=0.1)
    plain = of(ONE_HOT[s], ONE_HOT[z], ratio[:, None], weight, goes_on, ONE_HOT, problem.initial)
    noise = np.random.default_rng(1).normal(size=(9, STATES))
    more = of(
        np.concatenate([ONE_HOT[s], noise]),
        np.concatenate([ONE_HOT[z], noise[::-1]]),
        np.concatenate([ratio, np.full(9, 7.0)])[:, None],
        np.concatenate([weight, np.zeros(9)]),
        np.concatenate([goes_on, np.ones(9)]),
        np.concatenate([ONE_HOT, noise]),
        np.concatenate([problem.initial, np.zeros(9)]),
    )
    before, after = (linear.linear_omega(ONE_HOT, a) for a in (plain, more))
    np.testing.assert_allclose(before, after, rtol=1e-8)
    dull = np.concatenate([ONE_HOT, np.zeros((STATES, 1)), np.full((STATES, 1), 3.0)], axis=1)
    flat = of(dull[s], dull[z], ratio[:, None], weight, goes_on, dull, problem.initial)
    np.testing.assert_allclose(linear.linear_omega(dull, flat), before, rtol=1e-8)


def test_stationary_form_needs_no_initial_states():
    problem = Problem.make(0)
    s, z, ratio, weight, goes_on = problem.steps(1.0)
    of = partial(solve, ONE_HOT[s], ONE_HOT[z], ratio[:, None], weight, goes_on)
    without = of(gamma=1.0, ridge=0.01)
    np.testing.assert_allclose(
        without, of(ONE_HOT, problem.initial, gamma=1.0, ridge=0.01), atol=1e-10
    )


def test_single_precision_is_enough_for_features_of_any_scale():
    problem = Problem.make(3)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(STATES, 4)) * np.array([1e-3, 1, 30, 1e4])
    s, z, ratio, weight, goes_on = sampled(problem, GAMMA, 4000)
    arguments = (features[s], features[z], ratio[:, None], weight, goes_on)
    arguments += (features, problem.initial)
    double, single = (
        linear.linear_omega(
            jnp.asarray(features, dtype),
            solve(*(jnp.asarray(x, dtype) for x in arguments), gamma=GAMMA, ridge=0.01),
        )
        for dtype in (jnp.float64, jnp.float32)
    )
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, double, atol=1e-3)


@forms
def test_error_falls_with_the_data(gamma):
    def relative_error(seed, size):
        problem = Problem.make(seed)
        s, z, ratio, weight, goes_on = sampled(problem, gamma, size)
        coefficients = solve(
            ONE_HOT[s],
            ONE_HOT[z],
            ratio[:, None],
            weight,
            goes_on,
            ONE_HOT,
            problem.initial,
            gamma=gamma,
            ridge=0.01,
        )
        exact = problem.mixture(gamma)
        omega = positive_mean_one(linear.linear_omega(ONE_HOT, coefficients)[:, 0], exact)
        return (
            exact
            @ np.abs(omega - problem.truth(gamma))
            / (exact @ np.abs(problem.truth(gamma) - 1))
        )

    few, many = (np.median([relative_error(k, size) for k in range(8)]) for size in (300, 20_000))
    assert many < 0.1
    assert many < 0.4 * few


def test_fourier_features_multiply_to_the_kernel():
    states = np.random.default_rng(0).normal(size=(4, 3))
    frequency, phase = linear.draw_frequencies(jax.random.PRNGKey(0), 3, 100_000, bandwidth=1.5)
    features = np.asarray(linear.fourier_features(states, frequency, phase))
    for i, j in np.ndindex(4, 4):
        expected = np.exp(-((states[i] - states[j]) ** 2).sum() / (2 * 1.5**2))
        np.testing.assert_allclose(np.mean(features[i] * features[j]), expected, atol=0.02)


def test_features_that_repeat_each_other_can_be_left_out():
    """Six features of rank three: the four leading directions hold all that the solve needs."""
    rng = np.random.default_rng(5)
    strong = rng.normal(size=(400, 3))
    features = np.concatenate([strong, strong @ rng.normal(size=(3, 3))], axis=1)
    rest = (np.exp(0.3 * strong[:, :1]), np.ones(400), np.ones(400))
    whole = solve(strong, np.roll(strong, 1, axis=0), *rest, gamma=1.0, ridge=0.01)
    cut = solve(features, np.roll(features, 1, axis=0), *rest, gamma=1.0, ridge=0.01, size=4)
    few = solve(features, np.roll(features, 1, axis=0), *rest, gamma=1.0, ridge=0.01, size=2)
    expected = np.asarray(linear.linear_omega(strong, whole))
    np.testing.assert_allclose(linear.linear_omega(features, cut), expected, atol=1e-6)
    assert np.abs(expected - 1).max() > 0.01
    assert np.abs(np.asarray(linear.linear_omega(features, few)) - expected).max() > 0.005
