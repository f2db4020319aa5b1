"""Training networks for the state weight, on one-hot states with a known ratio."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.density_ratio import STATES, Problem

from opspo.estimators.density_ratio import positive_mean_one
from opspo.state_weights.trainers import KernelTrainer, MinimaxTrainer, Samples, draw_indices

pytestmark = pytest.mark.lenient_dtypes  # Flax keeps parameters in single precision

GAMMA = 0.9
ONE_HOT = np.eye(STATES)
COMMON = {
    "hidden_sizes": (16,),
    "learning_rate": 3e-3,
    "outer_steps": 5,
    "batch_size": 256,
    "gamma": GAMMA,
}
MINIMAX = MinimaxTrainer(**COMMON, inner_steps=3)
KERNEL = KernelTrainer(**COMMON, bandwidth=1.0)
each = pytest.mark.parametrize("trainer", [MINIMAX, KERNEL], ids=["minimax", "kernel"])


def samples_of(problem, gamma):
    """All steps, weighted by their exact probabilities."""
    s, z, ratio, weight, goes_on = problem.steps(gamma)
    return Samples(
        state=ONE_HOT[s],
        successor=ONE_HOT[z],
        ratio=ratio,
        weight=weight,
        continues=goes_on,
        initial=ONE_HOT,
        initial_weight=problem.initial,
    )


def leaves(tree):
    return [np.asarray(x) for x in jax.tree.leaves(tree)]


@partial(jax.jit, static_argnums=0)
def fitted(trainer, samples, seed=0):
    init_key, fit_key = jax.random.split(jax.random.PRNGKey(seed))
    return trainer.fit(trainer.init(init_key, STATES), samples, fit_key)


@each
def test_omega_is_one_at_first_for_any_state(trainer):
    state = np.random.default_rng(0).normal(size=(4, 2, 3))
    got = trainer.weight(trainer.init(jax.random.PRNGKey(0), 3), state)
    assert got.shape == (4, 2)
    np.testing.assert_allclose(got, 1, rtol=1e-6)


@pytest.mark.slow
@each
@pytest.mark.parametrize("gamma", [GAMMA, 1.0])
@pytest.mark.parametrize("ends", [False, True])
def test_it_learns_the_ratio(trainer, gamma, ends):
    problem = Problem.make(1, ends)
    trainer = replace(trainer, gamma=gamma, outer_steps=300, batch_size=512)
    learned = fitted(trainer, samples_of(problem, gamma))
    truth, mixture = problem.truth(gamma), problem.mixture(gamma)
    omega = positive_mean_one(trainer.weight(learned, ONE_HOT), mixture)
    assert mixture @ np.abs(omega - truth) < 0.35 * (mixture @ np.abs(truth - 1))


@each
def test_where_nobody_moved_it_stays_near_one(trainer):
    """Up to Adam's steps, which blow up rounding errors of a gradient that is 0."""
    problem = Problem.make(0)
    samples = samples_of(problem, GAMMA)
    samples = samples.replace(ratio=np.ones_like(samples.ratio))
    learned = fitted(replace(trainer, outer_steps=100), samples)
    omega = positive_mean_one(trainer.weight(learned, ONE_HOT), problem.mixture(GAMMA))
    np.testing.assert_allclose(omega, 1, atol=0.02)


def test_a_round_is_some_steps_of_f_and_one_of_omega():
    learned = fitted(MINIMAX, samples_of(Problem.make(0), GAMMA))
    assert learned.omega_optimiser.count == MINIMAX.outer_steps
    assert learned.test_optimiser.count == MINIMAX.outer_steps * MINIMAX.inner_steps


@each
def test_a_fit_goes_on_from_the_last_one(trainer):
    samples, keys = samples_of(Problem.make(0), GAMMA), jax.random.split(jax.random.PRNGKey(3), 5)
    start = trainer.init(jax.random.PRNGKey(0), STATES)
    fit = jax.jit(replace(trainer, outer_steps=1).fit)
    now = start
    for key in keys:
        before = now
        now = fit(now, samples, key)
        moved = np.abs(trainer.weight(now, ONE_HOT) - trainer.weight(before, ONE_HOT)).max()
        assert 1e-5 < moved < 0.5
    again = start
    for key in keys:
        again = fit(again, samples, key)
    for x, y in zip(leaves(now), leaves(again), strict=True):
        np.testing.assert_array_equal(x, y)


@each
def test_samples_of_no_weight_are_never_drawn(trainer):
    samples = samples_of(Problem.make(0), GAMMA)
    nothing = jax.tree.map(lambda x: np.full((4, *x.shape[1:]), np.nan), samples)
    nothing = nothing.replace(weight=np.zeros(4), initial_weight=np.zeros(4))
    more = jax.tree.map(lambda x, y: np.concatenate([y[:2], x, y[2:]]), samples, nothing)
    for x, y in zip(leaves(fitted(trainer, samples)), leaves(fitted(trainer, more)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7)


def test_indices_are_drawn_with_the_probabilities_of_their_weights():
    weights = jnp.array([0.0, 1.0, 0.0, 3.0, 0.0])
    drawn = draw_indices(jax.random.PRNGKey(0), jnp.cumsum(weights), 4000)
    counts = np.bincount(drawn, minlength=5)
    assert counts[[0, 2, 4]].sum() == 0
    np.testing.assert_allclose(counts[[1, 3]] / 4000, [0.25, 0.75], atol=0.03)  # 4 deviations
    assert (draw_indices(jax.random.PRNGKey(0), jnp.zeros(5), 3) == 0).all()  # nothing to draw


def test_weights_are_the_probabilities_of_being_drawn():
    """Twice the weight is the same as the sample standing there twice."""
    samples = samples_of(Problem.make(0), GAMMA)
    doubled = samples.replace(weight=2 * samples.weight, initial_weight=3 * samples.initial_weight)
    first, second = (fitted(KERNEL, x).omega for x in (samples, doubled))
    for x, y in zip(leaves(first), leaves(second), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7)


def test_several_ratios_at_once():
    """Networks stacked over targets, the same data otherwise."""
    trainer = MINIMAX
    samples = samples_of(Problem.make(0), GAMMA)
    ratios = np.stack([samples.ratio, samples.ratio**2])
    keys = jax.random.split(jax.random.PRNGKey(0), 2)
    start = jax.vmap(partial(trainer.init, state_size=STATES))(keys)
    fit = jax.vmap(lambda state, ratio, key: trainer.fit(state, samples.replace(ratio=ratio), key))
    learned = jax.jit(fit)(start, jnp.asarray(ratios), keys)
    for k in range(2):
        alone = jax.tree.map(lambda x, k=k: x[k], start)
        alone = jax.jit(trainer.fit)(alone, samples.replace(ratio=ratios[k]), keys[k])
        for x, y in zip(leaves(learned), leaves(alone), strict=True):
            np.testing.assert_allclose(x[k], y, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_the_printed_objective_leads_elsewhere():
    """Its minimum is not the true ratio: the same training leaves a larger error."""
    problem = Problem.make(1)
    truth, mixture = problem.truth(GAMMA), problem.mixture(GAMMA)

    def error(printed):
        trainer = replace(MINIMAX, printed=printed, outer_steps=300, batch_size=512)
        samples = samples_of(problem, GAMMA)
        networks = [fitted(trainer, samples, seed) for seed in range(3)]
        weights = [positive_mean_one(trainer.weight(x, ONE_HOT), mixture) for x in networks]
        return np.mean([mixture @ np.abs(omega - truth) for omega in weights])

    assert error(printed=False) < 0.5 * error(printed=True)
