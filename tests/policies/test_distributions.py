"""Action distributions against SciPy and against samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from opspo.policies.distributions import Decisions, DiagonalGaussian, MaskedCategorical

ACTIONS = 4
SAMPLES = 20_000
categorical, gaussian = MaskedCategorical(), DiagonalGaussian()
seeds = st.integers(0, 2**31)
some_available = st.lists(st.booleans(), min_size=ACTIONS, max_size=ACTIONS).filter(any)


def probabilities(logits, available):
    out = np.zeros(ACTIONS)
    out[available] = scipy.special.softmax(logits[available])
    return out


@given(seed=seeds, available=some_available, spread=st.sampled_from([0.1, 3.0]))
def test_categorical_is_the_softmax_of_what_is_available(seed, available, spread):
    logits = spread * np.random.default_rng(seed).normal(size=ACTIONS)
    available = np.array(available)
    expected = probabilities(logits, available)
    every = np.broadcast_to(logits, (ACTIONS, ACTIONS))
    mask = np.broadcast_to(available, (ACTIONS, ACTIONS))
    got = np.asarray(categorical.log_prob(every, np.arange(ACTIONS), mask))
    assert got.shape == (ACTIONS, 1)
    np.testing.assert_allclose(np.exp(got[:, 0]), expected, rtol=1e-10)
    assert (np.exp(got[~available, 0]) == 0).all()
    np.testing.assert_allclose(
        categorical.entropy(logits, available), [scipy.stats.entropy(expected)], atol=1e-10
    )
    assert categorical.mode(logits, available) == expected.argmax()


@given(seed=seeds)
def test_no_mask_is_a_mask_of_everything(seed):
    rng = np.random.default_rng(seed)
    logits, action = rng.normal(size=(5, ACTIONS)), rng.integers(ACTIONS, size=5)
    got = categorical.log_prob(logits, action, None)
    expected = scipy.special.log_softmax(logits, axis=-1)[np.arange(5), action]
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-10)
    everything = np.ones((5, ACTIONS), bool)
    np.testing.assert_allclose(
        categorical.entropy(logits, None), categorical.entropy(logits, everything), rtol=1e-10
    )


def test_categorical_samples_follow_the_probabilities():
    logits = np.array([0.3, -1.0, 2.0, 5.0])
    available = np.array([True, True, True, False])
    shape = (SAMPLES, ACTIONS)
    drawn = categorical.sample(
        jax.random.PRNGKey(0), np.broadcast_to(logits, shape), np.broadcast_to(available, shape)
    )
    counts = np.bincount(drawn, minlength=ACTIONS)
    assert counts[3] == 0
    np.testing.assert_allclose(counts / SAMPLES, probabilities(logits, available), atol=0.015)


def test_rows_are_sampled_independently():
    drawn = np.asarray(categorical.sample(jax.random.PRNGKey(0), np.zeros((SAMPLES, 2, 2)), None))
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.03


def test_a_row_without_any_action_keeps_values_and_gradients_finite():
    logits = jnp.array([[0.3, -1.0, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0]])
    available = np.array([[False] * ACTIONS, [True] * ACTIONS])
    action = np.array([1, 1])

    def total(x):
        log_prob = categorical.log_prob(x, action, available).sum()
        return log_prob + categorical.entropy(x, available).sum()

    value, grad = jax.value_and_grad(total)(logits)
    assert np.isfinite(value)
    assert (np.asarray(grad[0]) == 0).all()
    assert np.isfinite(grad[1]).all()
    assert (np.asarray(grad[1]) != 0).any()


def test_an_action_that_is_not_available_has_no_gradient():
    available = np.array([True, False, True, True])
    grad = jax.grad(lambda x: categorical.log_prob(x, jnp.array(2), available)[0])(
        jnp.array([0.3, 9.0, 2.0, -1.0])
    )
    p = probabilities(np.array([0.3, 9.0, 2.0, -1.0]), available)
    np.testing.assert_allclose(grad, (np.arange(ACTIONS) == 2) - p, atol=1e-12)


@given(seed=seeds)
def test_gaussian_density_is_scipys_for_each_dimension(seed):
    rng = np.random.default_rng(seed)
    mean, log_std, action = rng.normal(size=(3, 6, 3))
    output = np.concatenate([mean, log_std], axis=-1)
    got = gaussian.log_prob(output, action, None)
    expected = scipy.stats.norm.logpdf(action, loc=mean, scale=np.exp(log_std))
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)
    entropy = scipy.stats.norm.entropy(scale=np.exp(log_std))
    np.testing.assert_allclose(gaussian.entropy(output, None), entropy, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(gaussian.mode(output, None), mean)


@given(seed=seeds)
def test_decisions_are_categoricals_side_by_side(seed):
    rng = np.random.default_rng(seed)
    logits, action = rng.normal(size=(5, 3, ACTIONS)), rng.integers(ACTIONS, size=(5, 3))
    available = rng.random((5, 3, ACTIONS)) < 0.5
    available[..., 1] = True
    output, decisions = logits.reshape(5, 3 * ACTIONS), Decisions(3)
    log_prob, entropy = (
        decisions.log_prob(output, action, available),
        decisions.entropy(output, available),
    )
    mode = decisions.mode(output, available)
    assert log_prob.shape == entropy.shape == mode.shape == (5, 3)
    for d in range(3):
        one = logits[:, d], action[:, d], available[:, d]
        np.testing.assert_array_equal(log_prob[:, d], categorical.log_prob(*one)[:, 0])
        np.testing.assert_array_equal(
            entropy[:, d], categorical.entropy(logits[:, d], available[:, d])[:, 0]
        )
        np.testing.assert_array_equal(mode[:, d], categorical.mode(logits[:, d], available[:, d]))


def test_decisions_are_drawn_independently_and_as_available():
    logits = np.broadcast_to(np.log([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]), (SAMPLES, 2, 3))
    available = np.broadcast_to([[True, True, True], [True, True, False]], logits.shape)
    drawn = np.asarray(
        Decisions(2).sample(jax.random.PRNGKey(0), logits.reshape(SAMPLES, 6), available)
    )
    np.testing.assert_allclose(np.bincount(drawn[:, 0]) / SAMPLES, [0.7, 0.2, 0.1], atol=0.015)
    np.testing.assert_allclose(np.bincount(drawn[:, 1]) / SAMPLES, [0.5, 0.5], atol=0.015)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.03


def test_gaussian_samples_have_its_moments():
    mean, std = np.array([-1.0, 0.5, 3.0]), np.array([0.1, 1.0, 2.0])
    output = np.broadcast_to(np.concatenate([mean, np.log(std)]), (SAMPLES, 6))
    drawn = np.asarray(gaussian.sample(jax.random.PRNGKey(1), output, None))
    z = (drawn - mean) / std
    np.testing.assert_allclose(z.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.03)
    for dimension in range(3):
        assert scipy.stats.kstest(z[:, dimension], "norm").pvalue > 1e-3


@pytest.mark.parametrize("distribution", [categorical, gaussian])
def test_samples_are_fixed_by_the_key(distribution):
    output = np.zeros((50, 4))
    one, again, other = (
        np.asarray(distribution.sample(jax.random.PRNGKey(seed), output, None))
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


@given(seed=seeds, available=some_available)
def test_centred_categorical_has_the_mean_that_it_says(seed, available):
    """The mean of z over all actions, by each policy's probabilities."""
    old, new = 3 * np.random.default_rng(seed).normal(size=(2, ACTIONS))
    available = np.array(available)
    every = np.arange(ACTIONS)
    wide, mask = np.tile(old, (ACTIONS, 1)), np.tile(available, (ACTIONS, 1))
    z = np.asarray(categorical.centred(wide, every, mask))
    np.testing.assert_allclose(probabilities(old, available) @ z, np.zeros(ACTIONS), atol=1e-12)
    mean = categorical.centred_mean(old, new, available)
    np.testing.assert_allclose(mean, probabilities(new, available) @ z, atol=1e-12)
    # two decisions are two of them, side by side
    both = np.concatenate([old, new])
    pair = Decisions(2)
    found = pair.centred(both, np.array([1, 2]), np.tile(available, (2, 1)))
    each = [categorical.centred(x, a, available) for x, a in ((old, 1), (new, 2))]
    np.testing.assert_allclose(found, np.concatenate(each), atol=1e-12)
    swapped = np.concatenate([new, old])
    found = pair.centred_mean(both, swapped, np.tile(available, (2, 1)))
    np.testing.assert_allclose(found, np.concatenate([mean, -np.asarray(mean)]), atol=1e-12)


@given(seed=seeds)
def test_centred_gaussian_is_the_noise_in_its_unit(seed):
    rng = np.random.default_rng(seed)
    mean, other, log_std, noise = rng.normal(size=(4, 3))
    output = np.concatenate([mean, log_std])
    action = mean + np.exp(log_std) * noise
    np.testing.assert_allclose(gaussian.centred(output, action, None), noise, atol=1e-10)
    # the mean of z under another policy is z of that policy's mean
    moved = np.concatenate([other, rng.normal(size=3)])
    expected = gaussian.centred(output, other, None)
    np.testing.assert_allclose(gaussian.centred_mean(output, moved, None), expected, atol=1e-10)
