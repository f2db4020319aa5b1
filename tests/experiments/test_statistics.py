"""Statistics against slow loops, against rliable, and intervals that cover."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from opspo.experiments import statistics as ours

RNG = np.random.default_rng(0)


def some(tasks=3, seeds=6):
    return [RNG.normal(0.2 * i, 0.3, size=seeds) for i in range(tasks)]


def test_the_interquartile_mean_leaves_out_a_quarter_on_either_side():
    scores = [np.array([0.0, 10.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0, 100.0])]
    assert ours.interquartile_mean(scores) == pytest.approx((3 + 4 + 5 + 6) / 4)


def test_mean_and_median_are_over_tasks_of_means_over_seeds():
    scores = [np.array([0.0, 2.0]), np.array([5.0, 5.0]), np.array([1.0, 2.0, 3.0])]
    assert ours.mean(scores) == pytest.approx((1 + 5 + 2) / 3)
    assert ours.median(scores) == 2


def test_the_optimality_gap_counts_only_what_is_missing():
    scores = [np.array([0.5, 2.0]), np.array([1.0, 0.0])]
    assert ours.optimality_gap(scores) == pytest.approx((0.5 + 0 + 0 + 1) / 4)


@given(st.integers(0, 2**31))
def test_the_probability_of_improvement_is_that_of_mann_and_whitney(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 4, size=7).astype(float), rng.integers(0, 4, size=5).astype(float)
    expected = stats.mannwhitneyu(x, y).statistic / 35
    assert ours.probability_of_improvement([x], [y]) == pytest.approx(expected)
    there = ours.probability_of_improvement([y], [x])
    assert there == pytest.approx(1 - expected)


def test_a_profile_is_the_share_above():
    found = ours.profile([np.array([0.1, 0.5]), np.array([0.9, 0.9])], np.array([0.0, 0.3, 0.95]))
    np.testing.assert_allclose(found.estimate, [1, 0.75, 0])
    assert (found.low <= found.estimate).all() and (found.estimate <= found.high).all()


def test_normalisation_is_from_low_to_high():
    np.testing.assert_allclose(ours.normalised([-1.0, 3.0], low=-1, high=1), [0, 2])


def test_seeds_are_resampled_within_their_task():
    """Tasks far apart: pooling them would widen the interval of the mean a hundredfold."""
    scores = [np.array([0.0, 0.1, 0.2, 0.1]), np.array([100.0, 100.1, 100.2, 100.1])]
    found = ours.interval(ours.mean, scores)
    assert 0 < found.high - found.low < 0.15


def test_steps_of_a_curve_are_resampled_together():
    curve = RNG.normal(size=(5, 1)) + np.arange(7)
    found = ours.interval(ours.interquartile_mean, [curve])
    np.testing.assert_allclose(found.high - found.low, (found.high - found.low)[0], rtol=1e-9)
    assert found.estimate.shape == (7,)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(200):
        scores = [rng.normal(size=20) for _ in range(3)]
        found = ours.interval(ours.mean, scores, resamples=300)
        hits += found.low <= 0 <= found.high
    assert 0.87 < hits / 200 <= 0.99


def test_one_seed_has_no_interval():
    found = ours.interval(ours.mean, [np.array([0.3]), np.array([0.5, 0.7])])
    assert found.estimate == pytest.approx(0.45) and np.isnan([found.low, found.high]).all()


def test_an_interval_is_the_same_each_time():
    scores = some()
    one, other = (ours.interval(ours.interquartile_mean, scores) for _ in range(2))
    assert (one.low, one.high) == (other.low, other.high)


AGGREGATES = {
    "IQM": "aggregate_iqm",
    "median": "aggregate_median",
    "mean": "aggregate_mean",
    "optimality gap": "aggregate_optimality_gap",
}


@pytest.mark.parametrize("name", AGGREGATES)
def test_aggregates_are_rliables(name):
    metrics = pytest.importorskip("rliable.metrics")
    scores = some(tasks=4, seeds=8)
    expected = getattr(metrics, AGGREGATES[name])(np.stack(scores, axis=1))
    assert ours.AGGREGATES[name](scores) == pytest.approx(float(expected))


def test_intervals_are_rliables():
    library = pytest.importorskip("rliable.library")
    metrics = pytest.importorskip("rliable.metrics")
    scores = some(tasks=4, seeds=8)
    matrix = {"x": np.stack(scores, axis=1)}
    _, bounds = library.get_interval_estimates(
        matrix, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=5000
    )
    found = ours.interval(ours.interquartile_mean, scores, resamples=5000)
    np.testing.assert_allclose([found.low, found.high], bounds["x"][:, 0], atol=0.02)


def test_the_probability_of_improvement_is_rliables():
    metrics = pytest.importorskip("rliable.metrics")
    x, y = some(), some()
    expected = metrics.probability_of_improvement(np.stack(x, axis=1), np.stack(y, axis=1))
    assert ours.probability_of_improvement(x, y) == pytest.approx(float(expected))
