"""The setting `baseline`, in an update: what it is given, and what it changes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import opspo
from opspo.estimators import baselines
from opspo.fidelity.playing import playing
from opspo.rollout.chunks import to_chunks
from opspo.training.assembly import make_learner
from opspo.types import Moved


def learner_of(algo, **changes):
    config = opspo.default_config("probe/memory", algo)
    config = replace(
        config,
        rollout=replace(config.rollout, num_envs=8, num_steps=20),
        policy=replace(
            config.policy, hidden_sizes=(8,), share_parameters=changes.pop("shared", True)
        ),
        algorithm=replace(config.algorithm, **changes),
    )
    return make_learner(config, opspo.make_env("probe/memory"))


def batch_and_correction(learner):
    state = jax.jit(learner.init, static_argnums=0)(0)
    with playing(learner, num_steps=20, seed=1) as play:
        batch, *_ = learner.valued(state, play(state.actor))
    rng = np.random.default_rng(0)
    ratio = jnp.asarray(0.2 * rng.normal(size=batch.trajectory.alive.shape), jnp.float32)
    agents = jnp.arange(2) if learner.team.shared else jnp.array([1])
    data = learner.update.view(
        batch,
        Moved(ratio, ratio),
        agents,
        jnp.arange(2),
        stage=jnp.zeros((), int),
        round_began=ratio,
    )
    return state, batch, data, learner.algorithm.correct(data, jnp.ones_like(data.log_ratio))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("algo", ["opspo", "ippo"])
@pytest.mark.parametrize("name", ["mean", "linear", "linear_crossfit"])
def test_it_is_taken_off_the_advantage_and_not_off_the_target(algo, shared, name):
    *_, before = batch_and_correction(learner_of(algo, shared=shared))
    _, batch, data, after = batch_and_correction(learner_of(algo, shared=shared, baseline=name))
    assert (batch.features is None) == (name == "mean")
    for field in ("value_target", "weight", "low", "high", "state_weight"):
        np.testing.assert_array_equal(getattr(before, field), getattr(after, field))
    given = {"log_ratio": data.density_log_ratio, "alive": data.alive}
    if name != "mean":
        given |= {"features": data.features, "baseline_ridge": 1e-3}
    expected = before.advantage - getattr(baselines, name)(before.advantage, **given)
    np.testing.assert_allclose(after.advantage, expected, atol=1e-5)
    assert float(jnp.abs(after.advantage - before.advantage).max()) > 1e-3


def test_the_features_are_the_inputs_of_the_critics_last_layer():
    learner = learner_of("opspo", baseline="linear")
    state, batch, *_ = batch_and_correction(learner)
    assert batch.features.shape == (20, 8, 1, 8)
    length = learner.config.chunk_length
    chunks = to_chunks(batch.trajectory.state, length)
    found = learner.critic.features(
        state.critic, chunks, batch.critic_memory, to_chunks(batch.trajectory.first, length)
    )
    np.testing.assert_allclose(to_chunks(batch.features, length), found, rtol=1e-6)
    # the value is linear in them
    flat = np.asarray(batch.features).reshape(-1, 8)
    design = np.concatenate([flat, np.ones((len(flat), 1))], axis=1)
    value = np.asarray(batch.raw_value).reshape(-1)
    fitted = design @ np.linalg.lstsq(design, value, rcond=None)[0]
    np.testing.assert_allclose(fitted, value, atol=1e-4)


def test_a_baseline_of_ones_own_is_given_what_it_names():
    def half(advantage, features, alive):
        assert features.shape[:2] == alive.shape[:2]
        return advantage / 2

    *_, before = batch_and_correction(learner_of("opspo"))
    *_, after = batch_and_correction(learner_of("opspo", baseline=half))
    np.testing.assert_allclose(after.advantage, before.advantage / 2, rtol=1e-6)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-18, 1e12])
@pytest.mark.parametrize("features", [0.0, 1e-8, 1.0])
def test_no_scale_makes_a_baseline_that_is_no_number(scale, features):
    rng = np.random.default_rng(0)
    advantage = jnp.asarray(scale * rng.normal(size=(16, 8, 2)), jnp.float32)
    seen = jnp.asarray(3 + features * rng.normal(size=(16, 8, 1, 8)), jnp.float32)
    rest = {"log_ratio": jnp.zeros_like(advantage), "alive": jnp.ones_like(advantage, bool)}
    found = baselines.linear_crossfit(advantage, seen, **rest, baseline_ridge=1e-3)
    assert np.isfinite(found).all()
    assert float(jnp.abs(found).max()) <= 2 * float(jnp.abs(advantage).max())


def test_a_wrong_ridge_is_told():
    with pytest.raises(opspo.ConfigError, match="baseline_ridge must be positive and finite"):
        opspo.OPSPOConfig(baseline_ridge=0.0)
    with pytest.raises(opspo.ConfigError, match="Did you mean 'linear'"):
        opspo.OPSPOConfig(baseline="linea")


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["mappo", "opspo"])
def test_a_run_with_it_learns_the_probe(algo, tmp_path):
    config = opspo.default_config("probe/coordination", algo)
    config = replace(
        config,
        run_dir=str(tmp_path / "run"),
        total_steps=20_480,
        tensorboard=False,
        rollout=replace(config.rollout, num_envs=16, num_steps=16),
        algorithm=replace(config.algorithm, baseline="linear_crossfit"),
        evaluation=replace(config.evaluation, every_steps=0, final_episodes=32),
    )
    result = opspo.train(config)
    assert result.evaluation.mean_return == 1.0
