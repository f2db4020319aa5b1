"""Standardising over a mask, and the running moments of the value targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opspo.estimators import normalise

seeds = st.integers(0, 2**31)
masks = st.lists(st.booleans(), min_size=8, max_size=8)
standardise = jax.jit(normalise.standardise, static_argnames="epsilon")
masked_mean = jax.jit(normalise.masked_mean)
merge_moments = jax.jit(normalise.merge_moments)


@given(seed=seeds, mask=masks.filter(any))
def test_masked_mean_is_the_mean_of_those_chosen(seed, mask):
    x, mask = np.random.default_rng(seed).normal(size=8), np.array(mask)
    expected = sum(v for v, m in zip(x, mask, strict=True) if m) / sum(mask)
    np.testing.assert_allclose(masked_mean(x, mask), expected, rtol=1e-10, atol=1e-14)


@given(seed=seeds, mask=masks.filter(lambda m: sum(m) > 1), scale=st.floats(0.1, 100))
def test_standardise_over_the_mask(seed, mask, scale):
    rng = np.random.default_rng(seed)
    x, mask = 5 + scale * rng.normal(size=8), np.array(mask)
    got = np.asarray(standardise(x, mask))
    chosen = x[mask]
    expected = (chosen - chosen.mean()) / (chosen.std() + 1e-5)
    np.testing.assert_allclose(got[mask], expected, rtol=1e-9, atol=1e-12)
    assert (got[~mask] == 0).all()


@given(seed=seeds, mask=masks.filter(any))
def test_what_is_outside_the_mask_does_not_count(seed, mask):
    x, mask = np.random.default_rng(seed).normal(size=8), np.array(mask)
    garbage = np.where(mask, x, np.nan)
    np.testing.assert_array_equal(standardise(garbage, mask), standardise(x, mask))
    np.testing.assert_array_equal(masked_mean(garbage, mask), masked_mean(x, mask))


def test_an_empty_mask_gives_zeros():
    x, nothing = np.arange(8.0), np.zeros(8, bool)
    assert masked_mean(x, nothing) == 0
    np.testing.assert_array_equal(standardise(x, nothing), np.zeros(8))


def test_equal_samples_give_zeros():
    got = standardise(np.full(8, 3.0), np.ones(8, bool))
    np.testing.assert_allclose(got, np.zeros(8), atol=1e-9)


def debiased(targets, decay):
    """Moments as weighted means, newest batch heaviest: Σ d^{n−i} x_i / Σ d^{n−i}."""
    total = mean = square = 0.0
    for age, target in enumerate(reversed(targets)):
        share = decay**age
        total += share
        mean += share * sum(target) / len(target)
        square += share * sum(x * x for x in target) / len(target)
    return mean / total, np.sqrt(square / total - (mean / total) ** 2)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
@given(seed=seeds, batches=st.integers(1, 6))
def test_running_moments_are_decayed_means(decay, seed, batches):
    rng = np.random.default_rng(seed)
    targets = list(rng.normal(loc=rng.normal(), scale=rng.uniform(0.5, 20), size=(batches, 10)))
    statistics = normalise.fresh_statistics()
    for target in targets:
        statistics = normalise.update_statistics(
            statistics, np.asarray(target).reshape(5, 2, 1), decay=decay
        )
    expected = debiased(targets, decay)
    np.testing.assert_allclose(
        normalise.mean_and_deviation(statistics), expected, rtol=1e-8, atol=1e-10
    )


OFFSETS = [(2_000.0, 0.0), (2_000.0, 0.01), (1e6, 0.0), (1e6, 0.01), (-1e6, 3.0)]
"""Where the targets lie, and by how much they rise from batch to batch; their deviation is 1"""


@pytest.mark.parametrize("decay", [0.99, 0.99999])
@pytest.mark.parametrize(("offset", "rise"), OFFSETS)
def test_an_offset_takes_nothing_away_in_32_bits(offset, rise, decay):
    """To half a unit in the last place of the mean, after 500 batches."""
    rng = np.random.default_rng(0)
    update = jax.jit(normalise.update_statistics, static_argnames="decay")
    targets = [(offset + rise * i + rng.normal(size=200)).astype(np.float32) for i in range(500)]
    with jax.enable_x64(False):
        statistics = normalise.fresh_statistics()
        for target in targets:
            statistics = update(statistics, target, decay=decay)
        mean, deviation = normalise.mean_and_deviation(statistics)
    assert mean.dtype == deviation.dtype == np.float32
    expected_mean, expected_deviation = weighted(targets, decay)
    np.testing.assert_allclose(mean, expected_mean, rtol=0, atol=0.6 * np.spacing(abs(mean)))
    np.testing.assert_allclose(deviation, expected_deviation, rtol=1e-3)


def weighted(targets, decay):
    """Mean and deviation of all targets, those of a batch weighted by decay^age, in 64 bits."""
    every = np.concatenate(targets).astype(float)
    ages = np.repeat(np.arange(len(targets))[::-1], [len(t) for t in targets])
    mean = np.average(every, weights=decay**ages)
    return mean, np.sqrt(np.average((every - mean) ** 2, weights=decay**ages))


@given(a=st.floats(-1e6, 1e6, width=32), b=st.floats(-1e6, 1e6, width=32))
def test_two_sum_loses_nothing(a, b):
    with jax.enable_x64(False):
        total, rest = jax.jit(normalise.two_sum)(np.float32(a), np.float32(b))
    assert total == np.float32(a) + np.float32(b)
    assert float(total) + float(rest) == float(np.float32(a)) + float(np.float32(b))


@given(seed=seeds, batches=st.integers(0, 6))
def test_statistics_of_earlier_versions_are_read(seed, batches):
    targets = np.random.default_rng(seed).normal(3, 2, (batches, 10))
    mean = square = weight = 0.0
    for target in targets:
        mean = 0.9 * mean + 0.1 * target.mean()
        square = 0.9 * square + 0.1 * (target**2).mean()
        weight = 0.9 * weight + 0.1
    got = normalise.from_raw_moments(*(jnp.asarray(x) for x in (mean, square, weight)))
    expected = normalise.fresh_statistics()
    for target in targets:
        expected = normalise.update_statistics(expected, target, decay=0.9)
    for left, right in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-12)


def test_statistics_of_nothing_leave_values_as_they_are():
    mean, deviation = normalise.mean_and_deviation(normalise.fresh_statistics())
    assert (mean, deviation) == (0, 1)


def test_the_first_batch_counts_in_full():
    statistics = normalise.update_statistics(
        normalise.fresh_statistics(), np.array([9.0, 11.0]), decay=0.999
    )
    got = normalise.mean_and_deviation(statistics)
    np.testing.assert_allclose(got, (10.0, 1.0), rtol=1e-9)


def test_a_constant_target_keeps_the_deviation_away_from_zero():
    statistics = normalise.update_statistics(
        normalise.fresh_statistics(), np.full(4, 7.0), decay=0.9
    )
    mean, deviation = normalise.mean_and_deviation(statistics, epsilon=0.01)
    np.testing.assert_allclose(mean, 7, rtol=1e-12)
    np.testing.assert_allclose(deviation, 0.01, rtol=1e-12)


@given(st.integers(0, 2**16), st.integers(1, 4))
def test_merged_moments_are_those_of_all_samples(seed, batches):
    rng = np.random.default_rng(seed)
    moments = (np.zeros(3), np.ones(3), np.zeros(()))
    kept = []
    for _ in range(batches):
        x, mask = rng.normal(5, 3, (7, 3)), rng.uniform(size=7) < 0.7
        moments = merge_moments(*moments, x, mask)
        kept.append(x[mask])
    samples = np.concatenate(kept)
    if len(samples):
        np.testing.assert_allclose(moments[0], samples.mean(0), rtol=1e-9)
        np.testing.assert_allclose(moments[1], samples.var(0), rtol=1e-9, atol=1e-12)
    assert moments[2] == len(samples)
