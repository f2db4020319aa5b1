"""The estimating equation of the state weight, against exact ratios of tabular problems."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import density_ratio as oracle
from oracles.density_ratio import STATES, Problem
from scipy.optimize import minimize

from opspo.estimators import density_ratio as density

GAMMA = 0.9
seeds = st.integers(0, 2**31)
forms = pytest.mark.parametrize("gamma", [GAMMA, 1.0])
residual_masses = jax.jit(density.residual_masses, static_argnames="gamma")
arrival_masses = jax.jit(density.arrival_masses, static_argnames="gamma")
minimax_objective = jax.jit(density.minimax_objective, static_argnames="printed")
kernel_objective = jax.jit(density.kernel_objective)
endings = pytest.mark.parametrize("ends", [False, True])


def residual(problem, omega, gamma, ratio_to="own"):
    """Of the one-hot functions: [S]."""
    mass, z = masses(problem, omega, gamma, ratio_to)
    return gather(mass, z)


def masses(problem, omega, gamma, ratio_to="own"):
    """Of `residual_masses` on exact data with all states as initial ones; and the successors."""
    s, z, ratio, weight, goes_on = problem.steps(gamma, ratio_to)
    initial = problem.initial
    return residual_masses(
        omega[s], omega[z], omega, ratio, weight, goes_on, initial, gamma=gamma
    ), z


def gather(mass, successor):
    """Masses on successors and on all states in order, summed by state."""
    return np.bincount(successor, mass[0], STATES) + np.asarray(mass[1])


@pytest.mark.parametrize("behaviours", [1, 3])
@given(seed=seeds)
def test_mixture_ratio_is_over_the_mean_of_probabilities(behaviours, seed):
    rng = np.random.default_rng(seed)
    new = rng.uniform(0.01, 1, size=(6, 2))
    old = rng.uniform(0.01, 1, size=(behaviours, 6))
    got = density.mixture_log_ratio(np.log(new), np.log(old))
    np.testing.assert_allclose(np.exp(got), new / old.mean(axis=0)[:, None], rtol=1e-10)
    first = density.mixture_log_ratio(np.log(new[:, 0]), np.log(old))
    np.testing.assert_allclose(first, got[:, 0], rtol=1e-10, atol=1e-12)


@forms
@endings
@given(seed=seeds)
def test_arrivals_are_distributed_as_departures(gamma, ends, seed):
    problem = Problem.make(seed, ends)
    _, z, _, weight, goes_on = problem.steps(gamma)
    arrival = arrival_masses(weight, goes_on, problem.initial, gamma=gamma)
    np.testing.assert_allclose(gather(arrival, z), problem.mixture(gamma), atol=1e-10)


@forms
@endings
@pytest.mark.parametrize("behaviours", [1, 3])
@given(seed=seeds)
def test_the_equation_holds_at_the_true_ratio_and_only_there(gamma, ends, behaviours, seed):
    problem = Problem.make(seed, ends, behaviours)
    truth = problem.truth(gamma)
    np.testing.assert_allclose(residual(problem, truth, gamma), 0, atol=1e-10)
    off = truth * np.linspace(0.9, 1.1, STATES)
    assert np.abs(residual(problem, off, gamma)).max() > 1e-4


@given(seed=seeds)
def test_the_residual_is_that_of_liu_for_every_omega(seed):
    """The paper's equation and Liu et al.'s differ by an identity of the behaviour."""
    problem = Problem.make(seed)
    omega, f = np.random.default_rng(seed).uniform(0.1, 2, size=(2, STATES))
    expected = oracle.residual(omega, f, *problem.arguments(problem.policies[0], GAMMA))
    np.testing.assert_allclose(residual(problem, omega, GAMMA) @ f, expected, atol=1e-10)


@forms
@given(seed=seeds)
def test_where_nobody_moved_one_solves_every_batch(gamma, seed):
    rng = np.random.default_rng(seed)
    ones, goes_on = np.ones(7), (rng.random(7) < 0.7).astype(float)
    mass = residual_masses(
        ones, ones, ones[:3], ones, rng.random(7), goes_on, rng.random(3), gamma=gamma
    )
    np.testing.assert_allclose(np.concatenate(mass), 0, atol=1e-15)


def worst_case(mass, arrival, printed):
    """The largest objective over all f, from the definition: quadratic over quadratic."""
    parts = [mass[0] / np.sqrt(GAMMA), mass[1] / np.sqrt(1 - GAMMA)] if printed else [sum(mass)]
    scaled = np.array(parts) / np.sqrt(arrival)
    return np.linalg.eigvalsh(scaled @ scaled.T)[-1]


def by_state(problem, omega):
    """Masses of the two expectations, each [S], and the arrivals'."""
    mass, z = masses(problem, omega, GAMMA)
    parts = np.bincount(z, mass[0], STATES), np.asarray(mass[1])
    return parts, problem.mixture(GAMMA)


@pytest.mark.parametrize("printed", [False, True])
@given(seed=seeds)
def test_minimax_objective(printed, seed):
    problem = Problem.make(seed)
    omega, f = np.random.default_rng(seed).uniform(0.1, 2, size=(2, STATES))
    mass, z = masses(problem, omega, GAMMA)
    _, _, _, weight, goes_on = problem.steps(GAMMA)
    arrival = arrival_masses(weight, goes_on, problem.initial, gamma=GAMMA)

    def objective(f):
        return minimax_objective(mass, arrival, (f[z], f), printed=printed)

    arguments = problem.arguments(problem.policies[0], GAMMA)
    by_loops = oracle.printed(omega, f, *arguments)
    if not printed:
        by_loops = oracle.residual(omega, f, *arguments) ** 2
    np.testing.assert_allclose(objective(f), by_loops / (arguments[0] @ f**2), rtol=1e-8)
    np.testing.assert_allclose(objective(-1e3 * f), objective(f), rtol=1e-10)
    worst = worst_case(*by_state(problem, omega), printed)
    assert objective(f) <= worst * (1 + 1e-9)
    if not printed:
        best = residual(problem, omega, GAMMA) / arguments[0]
        np.testing.assert_allclose(objective(best), worst, rtol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_the_printed_sum_of_squares_does_not_vanish_at_the_true_ratio(seed):
    """Its two expectations are equal there and not zero, and its minimum is elsewhere."""
    problem = Problem.make(seed)
    truth = problem.truth(GAMMA)
    parts, arrival = by_state(problem, truth)
    np.testing.assert_allclose(parts[0], -parts[1], atol=1e-12)
    assert np.abs(parts[0]).max() > 1e-3
    assert worst_case(parts, arrival, printed=False) < 1e-20
    at_truth = worst_case(parts, arrival, printed=True)
    assert at_truth > 1e-4

    def at(omega):
        return worst_case(*by_state(problem, omega / (arrival @ omega)), printed=True)

    lowest = minimize(at, truth, method="Powell", bounds=[(0.01, 10)] * STATES)
    assert lowest.fun < 0.9 * at_truth
    away = np.abs(lowest.x / (arrival @ lowest.x) - truth)
    assert arrival @ away > 0.2 * (arrival @ np.abs(truth - 1))


@given(seed=seeds, bandwidth=st.sampled_from([0.5, 1.0, 3.0]))
def test_kernel_objective_is_a_double_sum(seed, bandwidth):
    rng = np.random.default_rng(seed)
    mass, points = rng.normal(size=9), rng.normal(size=(9, 3))
    got = kernel_objective((mass[:6], mass[6:]), (points[:6], points[6:]), bandwidth=bandwidth)
    np.testing.assert_allclose(got, oracle.kernel(mass, points, bandwidth), rtol=1e-8, atol=1e-12)


@forms
@given(seed=seeds)
def test_kernel_objective_vanishes_at_the_true_ratio_and_only_there(gamma, seed):
    problem = Problem.make(seed)
    one_hot = np.eye(STATES)

    def objective(omega):
        mass, z = masses(problem, omega, gamma)
        return kernel_objective(mass, (one_hot[z], one_hot), bandwidth=1.0)

    truth = problem.truth(gamma)
    assert abs(objective(truth)) < 1e-16
    assert objective(truth * np.linspace(0.9, 1.1, STATES)) > 1e-7


@given(seed=seeds)
def test_positive_mean_one(seed):
    rng = np.random.default_rng(seed)
    omega, weight = rng.normal(0.5, 1, size=(9, 2)), rng.random(9)
    got = np.asarray(density.positive_mean_one(omega, weight, floor=0.01))
    np.testing.assert_allclose(weight @ got / weight.sum(), 1, rtol=1e-10)
    floored = np.maximum(omega, 0.01)
    np.testing.assert_allclose(got / got[0], floored / floored[0], rtol=1e-10)


def pooled_solution(problem):
    """The ω that solves the equation with the plain mixture of actions on pooled data: [S]."""
    ratio = problem.target / np.mean(problem.policies, axis=0)
    acted = np.mean([problem.distribution(p, GAMMA)[:, None] * p for p in problem.policies], axis=0)
    moved = np.einsum("sx,sxz->zs", acted * ratio, problem.transition)
    flow = np.diag(problem.mixture(GAMMA)) - GAMMA * moved
    return np.linalg.solve(flow, (1 - GAMMA) * problem.initial)


def test_the_plain_mixture_of_actions_is_off_to_second_order():
    """Pooled data weigh each policy's actions by its visits."""
    bias = {}
    for apart in (0.2, 0.4):
        errors, changes = [], []
        for seed in range(20):
            problem = Problem.make(seed, behaviours=4, apart=apart)
            truth, mixture = problem.truth(GAMMA), problem.mixture(GAMMA)
            omega = pooled_solution(problem)
            if seed == 0:
                np.testing.assert_allclose(
                    residual(problem, omega, GAMMA, "mixture"), 0, atol=1e-12
                )
            errors.append(mixture @ np.abs(omega - truth))
            changes.append(mixture @ np.abs(truth - 1))
        bias[apart] = np.mean(errors)
        assert 1e-5 < bias[apart] < 0.1 * np.mean(changes)
    assert 3 < bias[0.4] / bias[0.2] < 7
