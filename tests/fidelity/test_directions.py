"""Directions under noise: against closed forms and simulations."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opspo.fidelity.directions import Mean, corrected_cosine, cosine, precision

vectors = st.lists(st.floats(-10, 10), min_size=3, max_size=3)


@given(vectors, vectors)
def test_a_cosine_is_that_of_an_angle(one, other):
    found = cosine(one, other)
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    if lengths < 1e-12:
        return
    assert found == pytest.approx(np.dot(one, other) / lengths, abs=1e-9)
    assert cosine(np.multiply(2, one), np.multiply(-3, other)) == pytest.approx(-found)


def test_there_is_no_angle_with_nothing():
    assert math.isnan(cosine([0, 0], [1, 0]))


def noisy(rng, direction, noise, count):
    found = Mean()
    for _ in range(count):
        found.add(direction + noise * rng.normal(size=len(direction)), 2.0)
    return found


def test_the_precision_is_the_cosine_with_the_truth():
    rng = np.random.default_rng(0)
    direction = rng.normal(size=400)
    found = [noisy(rng, direction, 3.0, 8) for _ in range(200)]
    told = np.mean([each.precision for each in found])
    assert told == pytest.approx(
        np.mean([cosine(each.value, direction) for each in found]), abs=0.01
    )
    assert 0.6 < told < 0.8
    assert precision(1.0) == 1.0 and precision(-0.2) == 0.0


def test_noise_is_taken_out_of_a_cosine():
    rng = np.random.default_rng(1)
    one = rng.normal(size=400)
    other = 0.6 * one + 0.8 * rng.normal(size=400)
    found = [(noisy(rng, one, 3.0, 16), noisy(rng, other, 5.0, 16)) for _ in range(200)]
    truth = cosine(one, other)
    corrected = np.mean([corrected_cosine(*pair) for pair in found])
    assert corrected == pytest.approx(truth, abs=0.03)
    raw = np.mean([cosine(a.value, b.value) for a, b in found])
    assert raw < truth - 0.2, "without it, noise looks like bias"
    noise = np.mean([a.noise for a, _ in found])
    assert noise == pytest.approx(9.0 * 400 / (one @ one), rel=0.1)


def test_a_mean_counts_its_weights():
    found = Mean()
    for vector, weight in (([1.0, 0.0], 1.0), ([0.0, 2.0], 3.0), ([3.0, 0.0], 1.0)):
        found.add(vector, weight)
    np.testing.assert_allclose(found.value, [4 / 5, 6 / 5])
    np.testing.assert_allclose(found.halves, [[2.0, 0.0], [0.0, 2.0]])
    assert found.agreement == 0.0 and found.signal == 0.0 and math.isnan(found.noise)
    assert math.isnan(corrected_cosine(found, found))


def test_halves_of_a_stream_do_not_share_an_episode():
    """Five batches of the same episode have the same noise: only halves apart in time tell it."""
    rng, direction, found = np.random.default_rng(2), np.ones(100), []
    for _ in range(200):
        apart, alternating = Mean(total=40), Mean()
        for _ in range(8):
            vector = direction + 2.0 * rng.normal(size=100)
            for _ in range(5):
                apart.add(vector)
                alternating.add(vector)
        found.append((apart.signal, alternating.signal))
        np.testing.assert_allclose(apart.value, alternating.value)
    apart, alternating = np.mean(found, axis=0)
    assert apart == pytest.approx(100, rel=0.03)
    assert alternating > 130
