"""The bound estimated on a batch: against loops over its samples, and as training logs it."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import traces
from oracles.state_weights import stepwise_wis
from small import run, small_config

from opspo.training.metrics import metrics_row
from opspo.types import Correction, StageData
from opspo.update.bound_estimates import bound_estimates

T, E, K, GAMMA, LAMBDA = 6, 4, 2, 0.9, 0.8
NAMES = {
    "bound_delta",
    *(f"bound_{name}_{kind}" for name in ("alpha", "epsilon", "xi") for kind in ("mean", "max")),
    "bound_mean",
    "bound_max",
}

estimate = jax.jit(partial(bound_estimates, gamma=GAMMA, gae_lambda=LAMBDA))


def batch(seed, members=1, far=0.3):
    """A stage's data, its correction, log-ratios before and after, and the mask."""
    rng = np.random.default_rng(seed)
    done = rng.random((T, E, 1)) < 0.3
    first = np.concatenate([rng.random((1, E, 1)) < 0.5, done[:-1]])
    data = StageData(
        reward=rng.normal(size=(T, E, 1)),
        value=rng.normal(size=(T, E, members)),
        next_value=rng.normal(size=(T, E, members)),
        done=done,
        first=first,
        log_ratio=rng.normal(size=(T, E, K)),  # this and the next are not for whole actions
        trace_log_ratio=rng.normal(size=(T, E, K)),
        density_log_ratio=far * rng.normal(size=(T, E, K)),
        position=np.ones(K),
        nearness=np.ones(K),
        alive=np.ones((T, E, K), bool),
        stage=np.array(1),
    )
    unused = np.full((T, E, K), np.nan)
    correction = Correction(
        **dict.fromkeys(("value_target", "weight", "low", "high", "state_weight"), unused),
        advantage=rng.normal(size=(T, E, K)),
    )
    before, after = far * rng.normal(size=(2, T, E, K))
    return data, correction, before, after, rng.random((T, E, K)) < 0.7


def in_loops(data, correction, before, after, mask):
    """Every number, sample by sample."""
    streams = data.reward, data.value, data.next_value, data.done
    # of as many streams as there are members of the critic
    plain = traces.over_streams(traces.gae, *streams, gamma=GAMMA, lam=LAMBDA)
    plain = np.broadcast_to(plain, mask.shape)
    ratio = np.exp(data.density_log_ratio)
    omega = [stepwise_wis(ratio[:, :, k], data.first[:, :, 0], inclusive=False) for k in range(K)]
    rows = {"alpha": [], "epsilon": [], "xi": [], "delta": []}
    for t, e, k in np.ndindex(mask.shape):
        if mask[t, e, k]:
            advantage = correction.advantage[t, e, k]
            rows["alpha"].append(abs(np.exp(after[t, e, k]) - np.exp(before[t, e, k])) / 2)
            rows["epsilon"].append(abs(advantage))
            rows["xi"].append(abs(advantage - plain[t, e, k]))
            rows["delta"].append(abs(omega[k][t, e] - 1))
    delta = min(sum(rows["delta"]) / len(rows["delta"]), 2)
    out = {"bound_delta": delta}
    for kind in ("mean", "max"):
        alpha, epsilon, xi = (
            max(rows[name]) if kind == "max" else sum(rows[name]) / len(rows[name])
            for name in ("alpha", "epsilon", "xi")
        )
        alpha = min(alpha, 1) if kind == "max" else alpha
        out |= {
            f"bound_alpha_{kind}": alpha,
            f"bound_epsilon_{kind}": epsilon,
            f"bound_xi_{kind}": xi,
        }
        out[f"bound_{kind}"] = corrected(alpha, epsilon, delta, xi, GAMMA)
    return out


def corrected(alpha, epsilon, delta, xi, gamma):
    drift = 1 / (1 - gamma) - 1 / (1 - gamma * (1 - alpha))
    return 4 * alpha * epsilon * drift + (2 * alpha * epsilon * delta + xi) / (1 - gamma)


@pytest.mark.parametrize("members", [1, K])
@given(seed=st.integers(0, 2**31), far=st.sampled_from([0.01, 0.3, 2.0]))
def test_every_number_in_loops(members, seed, far):
    """With one critic for all, or one for each agent of the stage."""
    arguments = batch(seed, members, far)
    got = estimate(*arguments)
    assert set(got) == NAMES
    for name, expected in in_loops(*arguments).items():
        assert got[name].shape == ()
        np.testing.assert_allclose(got[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)


def test_who_stays_is_off_by_the_advantage_alone():
    data, correction, before, _, mask = batch(0)
    got = estimate(data, correction, before, before, mask)
    for kind in ("mean", "max"):
        assert got[f"bound_alpha_{kind}"] == 0
        assert got[f"bound_xi_{kind}"] > 0.1
        np.testing.assert_allclose(got[f"bound_{kind}"], got[f"bound_xi_{kind}"] / (1 - GAMMA))


def test_what_is_not_under_update_does_not_count():
    data, correction, before, after, mask = batch(1)
    wild = [np.where(mask, x, 50.0) for x in (correction.advantage, before, after + 1)]
    tame = [np.where(mask, x, 0.0) for x in (correction.advantage, before, after + 1)]
    got, expected = (
        estimate(data, correction.replace(advantage=advantage), *ratios, mask)
        for advantage, *ratios in (wild, tame)
    )
    assert got == expected
    nobody = estimate(data, correction, before, after, np.zeros_like(mask))
    assert not any(nobody.values())


def test_distances_between_distributions_end_where_they_must():
    """Ratios of a batch can be of any size; α is at most 1, δ at most 2."""
    data, correction, before, after, mask = batch(2)
    rising = jnp.zeros((T, E, K)).at[:, 0].set(50.0)
    data = data.replace(
        density_log_ratio=rising, first=jnp.zeros((T, E, 1), bool), done=jnp.zeros((T, E, 1), bool)
    )
    only = np.zeros_like(mask)
    only[1:, 0] = True  # the one that has all the weight: ω = E
    got = estimate(data, correction, before, after + 5, only)
    assert got["bound_delta"] == 2
    assert got["bound_alpha_max"] == 1


# --- while training ------------------------------------------------------------------------------


def trained(algo, estimates=True, iterations=2):
    """A run as users have it, with separate parameters: one agent after the other."""
    config = small_config("probe/credit", algo, shared=False)
    with (
        jax.enable_x64(False),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
    ):
        return run(dataclasses.replace(config, bound_estimates=estimates), iterations)


def row_of(metrics):
    where = {"iteration": 1, "env_steps": 256, "wall_seconds": 1.0, "steps_per_second": 256.0}
    return metrics_row(metrics, **where, has_win=False)


@pytest.mark.slow
def test_a_run_logs_them_when_asked_and_is_the_same_run():
    with_them, history = trained("opspo")
    without, plain_history = trained("opspo", estimates=False)
    for leaf, same in zip(jax.tree.leaves(with_them), jax.tree.leaves(without), strict=True):
        # two programs, whose rounding need not agree
        np.testing.assert_allclose(leaf, same, rtol=1e-5, atol=1e-6)
    for metrics, plain in zip(history, plain_history, strict=True):
        row, plain_row = row_of(metrics), row_of(plain)
        assert set(row) - set(plain_row) == NAMES
        assert all(len(row[name]) == 2 for name in NAMES)  # a number for each position
        for name, value in plain_row.items():
            np.testing.assert_allclose(row[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["opspo", "happo"])
def test_what_a_run_logs(algo):
    """The first agent has data of its own policy; after that the states are off, and with a
    corrected advantage what would be wrong without."""
    _, history = trained(algo)
    for metrics in history:
        row = {name: np.array(value) for name, value in metrics["positions"].items()}
        for kind in ("mean", "max"):
            alpha, epsilon, xi = (row[f"bound_{x}_{kind}"] for x in ("alpha", "epsilon", "xi"))
            assert ((alpha > 0) & (alpha <= 1)).all()
            assert (epsilon > 0).all()
            np.testing.assert_allclose(xi[0], 0, atol=1e-6)
            assert (xi[1] > 1e-4) == (algo == "opspo")
            gamma = small_config("probe/credit", algo).algorithm.gamma
            expected = corrected(alpha, epsilon, row["bound_delta"], xi, gamma)
            np.testing.assert_allclose(row[f"bound_{kind}"], expected, rtol=1e-3)
        np.testing.assert_allclose(row["bound_delta"][0], 0, atol=1e-6)
        assert row["bound_delta"][1] > 1e-4
        assert (row["bound_alpha_mean"] < row["bound_alpha_max"]).all()
