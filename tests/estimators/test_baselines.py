"""Baselines: against slow loops, exact recovery, and what a baseline is for."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opspo.estimators import baselines

T, E, K, P = 6, 4, 3, 2


def data(seed, *, members=1, size=P, envs=E):
    rng = np.random.default_rng(seed)
    alive = rng.uniform(size=(T, envs, K)) < 0.8
    return {
        "advantage": jnp.asarray(rng.normal(size=(T, envs, K))),
        "features": jnp.asarray(rng.normal(size=(T, envs, members, size)) + 3),
        "log_ratio": jnp.asarray(0.5 * rng.normal(size=(T, envs, K))),
        "alive": jnp.asarray(alive),
    }


def without_features(given):
    return {name: x for name, x in given.items() if name != "features"}


def ridge_by_hand(given, k, fit, ridge):
    """min Σ r (A − b − zᵀβ)² + ridge · Σ r · mean z² · |β|², over living samples in `fit`."""
    member = min(k, given["features"].shape[2] - 1)
    rows, targets, weights = [], [], []
    for t in range(T):
        for e in range(given["advantage"].shape[1]):
            if given["alive"][t, e, k] and fit(t, e):
                rows.append(np.asarray(given["features"][t, e, member]))
                targets.append(float(given["advantage"][t, e, k]))
                weights.append(np.exp(float(given["log_ratio"][t, e, k])))
    x, a, w = map(np.array, (rows, targets, weights))
    middle = (w[:, None] * x).sum(0) / w.sum()
    z = x - middle
    square = (w[:, None] * z**2).sum() / w.sum() / z.shape[1]
    level = (w * a).sum() / w.sum()
    gram = z.T @ (w[:, None] * z) + ridge * square * w.sum() * np.eye(z.shape[1])
    slope = np.linalg.solve(gram, z.T @ (w * (a - level)))
    return lambda t, e: level + (np.asarray(given["features"][t, e, member]) - middle) @ slope


@pytest.mark.parametrize("members", [1, K])
@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_linear_is_a_weighted_ridge_regression_of_each_agent(members, ridge):
    given = data(0, members=members)
    found = baselines.linear(**given, baseline_ridge=ridge)
    for k in range(K):
        fitted = ridge_by_hand(given, k, lambda t, e: True, ridge)
        expected = [[fitted(t, e) for e in range(E)] for t in range(T)]
        np.testing.assert_allclose(found[..., k], expected, rtol=1e-9)


@pytest.mark.parametrize("envs", [E, 3])
def test_a_crossfitted_baseline_has_not_seen_its_own_half(envs):
    given = data(1, envs=envs)
    found = baselines.linear_crossfit(**given, baseline_ridge=1e-3)
    half = envs // 2
    for k in range(K):
        first = ridge_by_hand(given, k, lambda t, e: e < half, 1e-3)
        second = ridge_by_hand(given, k, lambda t, e: e >= half, 1e-3)
        expected = [[(second if e < half else first)(t, e) for e in range(envs)] for t in range(T)]
        np.testing.assert_allclose(found[..., k], expected, rtol=1e-9)


def test_a_single_environment_is_cut_in_time():
    given = data(2, envs=1, size=1)
    found = baselines.linear_crossfit(**given, baseline_ridge=1e-3)
    second = ridge_by_hand(given, 0, lambda t, e: t >= T // 2, 1e-3)
    np.testing.assert_allclose(found[0, 0, 0], second(0, 0), rtol=1e-9)


@given(st.integers(0, 50))
def test_what_is_linear_in_the_features_is_taken_off_whole(seed):
    given = data(seed)
    slope = np.random.default_rng(seed).normal(size=P)
    exact = given["features"] @ slope + 2.0
    given["advantage"] = jnp.broadcast_to(exact, (T, E, K))
    for name in ("linear", "linear_crossfit"):
        found = getattr(baselines, name)(**given, baseline_ridge=1e-12)
        np.testing.assert_allclose(found, given["advantage"], atol=1e-6)


@given(st.integers(0, 50))
def test_the_weighted_mean_is_0_after_each(seed):
    given = data(seed)
    weight = np.where(given["alive"], np.exp(given["log_ratio"]), 0)
    assert float(jnp.abs(baselines.none(given["advantage"])).max()) == 0
    for found in (
        baselines.mean(**without_features(given)),
        baselines.linear(**given, baseline_ridge=1e-3),
    ):
        left = (weight * np.asarray(given["advantage"] - found)).sum((0, 1))
        np.testing.assert_allclose(left, 0, atol=1e-9)


def test_proportions_of_the_ratio_alone_matter_and_large_ones_do_not_overflow():
    given = data(3)
    moved = given | {"log_ratio": given["log_ratio"] + 800.0}
    for name, more in (("mean", {}), ("linear", {"baseline_ridge": 1e-3})):
        function = getattr(baselines, name)
        chosen = without_features if name == "mean" else dict
        one, other = (function(**chosen(each), **more) for each in (given, moved))
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_an_agent_that_is_dead_throughout_has_a_finite_baseline():
    given = data(4)
    given["alive"] = given["alive"].at[..., 1].set(False)
    for found in (
        baselines.mean(**without_features(given)),
        baselines.linear(**given, baseline_ridge=1e-3),
        baselines.linear_crossfit(**given, baseline_ridge=1e-3),
    ):
        assert np.isfinite(found).all()


def test_constant_features_leave_the_mean():
    given = data(5)
    given["features"] = jnp.ones_like(given["features"])
    found = baselines.linear(**given, baseline_ridge=1e-3)
    np.testing.assert_allclose(found, baselines.mean(**without_features(given)), rtol=1e-9)
