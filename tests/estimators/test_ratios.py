"""Ratios, effective sample size and the KL estimate, against plain probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import ratios as oracle

from opspo.estimators import action_ratios, ratio_scopes, ratios

seeds = st.integers(0, 2**31)
FORMULAS = {
    "product": (jax.jit(action_ratios.product), oracle.whole_ratio),
    "mean": (jax.jit(action_ratios.mean), oracle.mean_ratio),
}
every_formula = pytest.mark.parametrize("name", FORMULAS)
others_log_ratio = jax.jit(ratio_scopes.others)
preceding_log_ratio = jax.jit(ratio_scopes.preceding)
_log_ess = jax.jit(ratios.effective_sample_size)


def effective_sample_size(weight, mask):
    """Of weights, where the library takes their logarithms."""
    with np.errstate(divide="ignore"):
        return _log_ess(np.log(weight), mask)


@every_formula
@pytest.mark.parametrize("dimensions", [1, 2, 5])
@given(seed=seeds)
def test_ratio_of_an_action(name, dimensions, seed):
    formula, slow = FORMULAS[name]
    rng = np.random.default_rng(seed)
    new, old = rng.uniform(0.01, 1, size=(2, 4, 3, dimensions))
    own = np.arange(dimensions) < rng.integers(1, dimensions + 1, size=(4, 3, 1))
    got, padded = formula(np.log(new), np.log(old)), formula(np.log(new), np.log(old), own)
    assert got.shape == padded.shape == (4, 3)
    for index in np.ndindex(4, 3):
        pair = new[index], old[index]
        np.testing.assert_allclose(np.exp(got[index]), slow(*pair, [True] * dimensions), rtol=1e-10)
        np.testing.assert_allclose(np.exp(padded[index]), slow(*pair, own[index]), rtol=1e-10)


@every_formula
def test_ratio_in_one_dimension_is_the_plain_one(name):
    new, old = np.array([[-1.0], [-0.25]]), np.array([[-3.0], [-0.5]])
    np.testing.assert_allclose(FORMULAS[name][0](new, old), [2.0, 0.25], atol=1e-14)


def test_a_ratio_of_two_beside_seven_dimensions_of_padding():
    """One agent of eight dimensions beside one of a single one, whose true ratio is 2."""
    new, old = np.zeros(8), np.zeros(8)
    new[0] = np.log(2)
    own = np.arange(8) < 1
    assert np.exp(action_ratios.mean(new, old)) == pytest.approx(1.125)  # the fault
    assert np.exp(action_ratios.mean(new, old, own)) == pytest.approx(2)
    assert np.exp(action_ratios.product(new, old, own)) == pytest.approx(2)


@every_formula
def test_padding_has_no_value_and_no_gradient(name):
    formula = FORMULAS[name][0]
    rng = np.random.default_rng(0)
    new, old = jnp.asarray(rng.normal(size=(2, 5)))
    own = jnp.arange(5) < 2
    wild = jnp.where(own, new, jnp.array([0.0, 0.0, 900.0, -900.0, 3.0]))
    np.testing.assert_array_equal(formula(wild, old, own), formula(new, old, own))
    grad = jax.grad(lambda x: formula(x, old, own))(wild)
    assert (np.asarray(grad)[2:] == 0).all()
    assert (np.asarray(grad)[:2] != 0).all()


@pytest.mark.parametrize(("name", "weight"), [("product", 1.0), ("mean", 0.25)])
def test_gradient_where_nothing_has_moved(name, weight):
    """At ratio 1 each of D dimensions has the weight 1, or 1 / D in the mean."""
    old = jnp.asarray(np.random.default_rng(0).normal(size=4))
    grad = jax.grad(lambda new: FORMULAS[name][0](new, old))(old)
    np.testing.assert_allclose(grad, np.full(4, weight), atol=1e-12)


@given(seed=seeds, agents=st.permutations(range(4)))
def test_others_log_ratio_is_the_product_over_the_others(seed, agents):
    own = np.exp(np.random.default_rng(seed).normal(size=(2, 3, 4)))
    agents = np.array(agents[:3])
    got = others_log_ratio(np.log(own), agents)
    assert got.shape == (2, 3, 3)
    for t, e, k in np.ndindex(2, 3, 3):
        expected = np.log(oracle.others_ratio(own[t, e], agents[k]))
        np.testing.assert_allclose(got[t, e, k], expected, rtol=1e-10, atol=1e-10)


def test_others_log_ratio_of_a_single_agent_is_zero():
    own = np.random.default_rng(0).normal(size=(2, 3, 1))
    np.testing.assert_allclose(others_log_ratio(own, np.array([0])), np.zeros((2, 3, 1)))


@given(seed=seeds, order=st.permutations(range(4)), agents=st.permutations(range(4)))
def test_preceding_log_ratio_is_the_product_over_those_before(seed, order, agents):
    own = np.exp(np.random.default_rng(seed).normal(size=(2, 3, 4)))
    agents, rank = np.array(agents[:3]), np.argsort(order)
    got = preceding_log_ratio(np.log(own), agents, rank)
    assert got.shape == (2, 3, 3)
    for t, e, k in np.ndindex(2, 3, 3):
        expected = np.log(oracle.preceding_ratio(own[t, e], agents[k], order))
        np.testing.assert_allclose(got[t, e, k], expected, rtol=1e-10, atol=1e-10)


def test_preceding_is_others_while_those_behind_have_not_moved():
    """As with separate parameters, updated in turn."""
    order = np.array([2, 0, 3, 1])
    own = np.random.default_rng(0).normal(size=(2, 3, 4))
    for place, agent in enumerate(order):
        moved = np.where(np.argsort(order) < place, own, 0)
        one = np.array([agent])
        np.testing.assert_allclose(
            preceding_log_ratio(moved, one, np.argsort(order)),
            others_log_ratio(moved, one),
            atol=1e-12,
        )


def test_nobody_precedes_where_all_share_one_place():
    """The rank of a plan in which all move at once."""
    own = np.random.default_rng(0).normal(size=(2, 3, 4))
    got = preceding_log_ratio(own, np.arange(4), np.full(4, 3))
    np.testing.assert_array_equal(got, np.zeros((2, 3, 4)))


masks = st.lists(st.booleans(), min_size=6, max_size=6).filter(any)


@given(seed=seeds, mask=masks, spread=st.sampled_from([0.0, 0.1, 3.0]))
def test_effective_sample_size(seed, mask, spread):
    weight = np.exp(spread * np.random.default_rng(seed).normal(size=6))
    mask = np.array(mask)
    got = effective_sample_size(weight, mask)
    np.testing.assert_allclose(got, oracle.effective_sample_size(weight[mask]), rtol=1e-10)
    assert 1 / mask.sum() - 1e-12 <= got <= 1 + 1e-12
    np.testing.assert_allclose(effective_sample_size(1e-3 * weight, mask), got, rtol=1e-9)
    garbage = np.where(mask, weight, 1e6)
    np.testing.assert_allclose(effective_sample_size(garbage, mask), got, rtol=1e-9)


def test_effective_sample_size_is_one_only_for_equal_weights():
    everything = np.ones(6, bool)
    np.testing.assert_allclose(effective_sample_size(np.full(6, 0.3), everything), 1)
    assert effective_sample_size(np.array([1, 1, 1, 1, 1, 1.5]), everything) < 0.99
    one_hot = np.array([0, 0, 7.0, 0, 0, 0])
    np.testing.assert_allclose(effective_sample_size(one_hot, everything), 1 / 6)
    assert np.isfinite(effective_sample_size(np.ones(6), ~everything))


def test_effective_sample_size_of_huge_ratios_is_finite():
    """A joint ratio of e^800 does not overflow: one sample counts for all."""
    log_weight = np.array([800.0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(_log_ess(log_weight, np.ones(6, bool)), 1 / 6)


@given(seed=seeds, spread=st.sampled_from([0.01, 0.5, 2.0]))
def test_kl_estimate_is_unbiased_and_never_negative(seed, spread):
    rng = np.random.default_rng(seed)
    old = rng.dirichlet(np.ones(5))
    new = old * np.exp(spread * rng.normal(size=5))
    new /= new.sum()
    estimate = np.asarray(ratios.kl_from_log_ratio(np.log(new / old)))
    assert (estimate >= -1e-15).all()
    np.testing.assert_allclose((old * estimate).sum(), oracle.kl(old, new), rtol=1e-8, atol=1e-13)


def test_kl_estimate_keeps_its_digits_near_zero():
    small = np.array([1e-5, -1e-5])
    expected = small**2 / 2 + small**3 / 6
    np.testing.assert_allclose(ratios.kl_from_log_ratio(small), expected, rtol=1e-5)
