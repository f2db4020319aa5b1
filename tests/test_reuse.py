"""Batches of earlier iterations in an update: what is kept, how far off it is, what sees it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from continued import assert_resumed
from small import collect, learner_of, run, small_config
from stages import SHARING, begun_at, carried_out, sharing

import opspo
from opspo.errors import ConfigError

ENVS = 16


def config_of(reuse=2, **changes):
    return small_config("probe/credit", "opspo", reuse=reuse, **{"epochs": 4} | changes)


def begun_with_earlier(case, reuse=2):
    """The update of the third iteration, about to begin."""
    config = config_of(reuse, **case)
    learner, _ = learner_of(config)
    state, _ = run(config, 2)
    return begun_at(learner, state)


@sharing
def test_the_latest_batches_are_kept(case):
    config = config_of(**case)
    learner, iterate = learner_of(config)
    state = jax.jit(learner.init, static_argnums=0)(0)
    played = []
    for _ in range(3):
        key = jax.random.split(state.key, 3)[1]
        played.append(jax.device_get(learner.collect(state, key)[1]))
        memory = state.critic_memory
        state, _ = iterate(state)
    assert iterate._cache_size() == 1
    kept = state.earlier
    for i, batch in enumerate((played[2], played[1])):
        part = slice(i * ENVS, (i + 1) * ENVS)
        jax.tree.map(
            lambda own, all: np.testing.assert_allclose(own, all[:, part], atol=1e-5),  # noqa: B023
            batch,
            jax.device_get(kept.trajectory),
        )
    np.testing.assert_array_equal(kept.critic_memory[:ENVS], memory)


def test_copies_of_a_batch_change_nothing():
    """The first iteration has no earlier batches: three times its own are as good as one."""
    case = SHARING["separate"]
    one, three = (run(config_of(reuse, **case), 1)[0] for reuse in (0, 2))
    for part in ("actor", "critic", "value_statistics"):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5),
            getattr(one, part),
            getattr(three, part),
        )


def moves(now):
    """log π / μ of each agent now, step by step [T, E, N]; μ collected the batch."""
    trajectory, team = now.batch.trajectory, now.learner.team
    unroll, rows = jax.jit(team.unroll), []
    for t in range(trajectory.reward.shape[0]):
        seen = trajectory.observation[t][None], trajectory.memory[t], trajectory.first[t][None]
        output, _ = unroll(now.state.actor, *seen)
        probability = np.asarray(jax.nn.softmax(output[0]))
        taken = np.take_along_axis(probability, np.asarray(trajectory.action[t])[..., None], -1)
        rows.append(np.log(taken) - np.asarray(trajectory.log_prob[t]))
    return np.stack(rows)[..., 0]


@sharing
def test_it_begins_where_the_policies_have_moved(case):
    now = begun_with_earlier(case)
    began = np.asarray(now.batch.began.log_ratio)
    np.testing.assert_array_equal(began[:, :ENVS], np.zeros_like(began[:, :ENVS]))
    expected = moves(now)
    # inside a chunk, today's policies have a memory of their own
    starts = slice(None, None, now.learner.config.chunk_length)
    np.testing.assert_allclose(began[starts, ENVS:], expected[starts, ENVS:], atol=1e-4)
    sizes = np.abs(began).mean((0, 2)).reshape(3, ENVS).mean(1)
    assert (sizes[1:] > 0.01).all()


@sharing
def test_every_correction_sees_it(case):
    """In the first stage nobody has moved since; in the second others have."""
    now = begun_with_earlier(case)
    began = np.asarray(now.batch.began.log_ratio)
    _, seen = carried_out(now, 2)
    agents = np.asarray(now.plan.agents[0])
    joint = began.sum(-1, keepdims=True)
    data = seen[0]
    np.testing.assert_allclose(data.log_ratio, joint - began[..., agents], atol=1e-5)
    whole = np.broadcast_to(joint, data.trace_log_ratio.shape)
    np.testing.assert_allclose(data.trace_log_ratio, whole, atol=1e-5)
    np.testing.assert_allclose(data.density_log_ratio, whole, atol=1e-5)
    np.testing.assert_array_equal(data.own_began, began[..., agents])
    correction = now.learner.algorithm.correct(data, jnp.ones_like(data.log_ratio))
    plain = now.learner.algorithm.correct(
        replace(data, own_began=None), jnp.ones_like(data.log_ratio)
    )
    around = np.exp(began[..., agents])
    np.testing.assert_allclose(correction.low, plain.low * around, rtol=1e-5)
    np.testing.assert_allclose(correction.high, plain.high * around, rtol=1e-5)
    if not now.learner.team.shared:  # the first agent has moved before the second's stage
        change = np.abs(seen[1].log_ratio - (joint - began[..., np.asarray(now.plan.agents[1])]))
        assert change[:, :ENVS].max() > 1e-3


def test_an_engine_may_report_more_than_the_example_says():
    """Engines outside JAX say which episodes are lost, and their own outcomes."""
    learner, _ = learner_of(config_of())
    state = jax.jit(learner.init, static_argnums=0)(0)
    trajectory = collect(learner, state)
    flags = jnp.zeros(trajectory.reward.shape, bool)
    trajectory = trajectory.replace(lost=flags, outcome={"goals": trajectory.reward})
    batch, *_, earlier = learner.everything(state, trajectory)
    assert batch.trajectory.reward.shape[1] == 3 * ENVS
    assert jax.tree.structure(earlier) == jax.tree.structure(state.earlier)


def test_nothing_is_kept_without_need():
    learner, _ = learner_of(small_config("probe/credit"))
    assert jax.eval_shape(lambda: learner.init(0)).earlier == ()


@pytest.mark.slow
def test_it_is_resumed(tmp_path):
    assert_resumed(config_of(), tmp_path)


def test_how_many_is_checked():
    with pytest.raises(ConfigError, match="reuse must be at least 0"):
        opspo.OPSPOConfig(reuse=-1)
    for config, changes in (
        (opspo.MAPPOConfig, {}),
        (opspo.OPSPOConfig, {"state_weight": "kernel"}),
        (opspo.HAPPOConfig, {"clip_range": "joint"}),
    ):
        with pytest.raises(ConfigError, match="reuse must be 0"):
            config(reuse=1, **changes)
    with pytest.raises(ConfigError, match="devices must be 1 where"):
        replace(small_config("probe/credit", reuse=1), devices=2)
