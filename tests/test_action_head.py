"""The critic's head for action values: what it learns, and what a stage sees of it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from continued import assert_resumed
from small import learner_of, run, small_config
from stages import SHARING, begun_at, carried_out, sharing

import opspo
from opspo.environments import make_env
from opspo.errors import ConfigError
from opspo.training.assembly import make_learner
from opspo.update.diagnostics import find_faults


def config_of(probe="credit", **changes):
    return small_config(
        f"probe/{probe}",
        advantage="doubly_robust",
        value_target="gae",
        action_head_rate=0.02,
        **{"state_weight": "none", "epochs": 4} | changes,
    )


def rebegun(case):
    """An update about to begin whose head has learned something."""
    learner, _ = learner_of(config_of(**case))
    state, _ = run(config_of(**case), 3)
    return begun_at(learner, state)


@sharing
def test_a_stage_sees_the_model_and_what_the_others_have_moved(case):
    """Against probabilities taken step by step: z is the unit vector less them."""
    now = rebegun(case)
    trajectory, team = now.batch.trajectory, now.learner.team
    head, features = now.state.action_head, np.asarray(now.batch.features)
    variance = now.state.value_statistics.variance
    slope = np.sqrt(variance) * (
        np.einsum("tep,pnz->tenz", features[:, :, 0], head.kernel) + head.bias
    )
    assert np.abs(slope).max() > 1e-3
    old = probabilities(team, now.state.actor, trajectory)
    taken = np.eye(old.shape[-1])[np.asarray(trajectory.action)]
    q = (slope * (taken - old)).sum(-1)
    last = now.stages - 1
    before, _ = carried_out(now, last)
    _, seen = carried_out(now, last + 1)
    new = probabilities(team, before.actor, trajectory)
    shift = (slope * (new - old)).sum(-1)
    assert np.abs(shift).max() > 1e-3
    agents = np.asarray(now.plan.agents[last])
    data = seen[last]
    np.testing.assert_allclose(data.action_value[..., 0], q.sum(-1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(data.own_action_value, q[..., agents], rtol=1e-3, atol=1e-4)
    others = shift.sum(-1, keepdims=True) - shift[..., agents]
    # inside a chunk, the new policies have a memory of their own
    starts = slice(None, None, now.learner.config.chunk_length)
    np.testing.assert_allclose(data.value_shift[starts], others[starts], rtol=1e-3, atol=1e-4)
    nobody = seen[0].value_shift
    np.testing.assert_allclose(nobody, np.zeros_like(nobody), atol=1e-5)


def probabilities(team, params, trajectory):
    """π of each agent at each step [T, E, N, A], one step after another."""
    unroll = jax.jit(team.unroll)
    rows = []
    for t in range(trajectory.reward.shape[0]):
        now = trajectory.observation[t][None], trajectory.memory[t], trajectory.first[t][None]
        output, _ = unroll(params, *now)
        rows.append(jax.nn.softmax(output[0]))
    return np.asarray(jnp.stack(rows))


def test_it_learns_a_model_of_its_own_kind():
    """TD errors that are q of another head, plus as much noise again."""
    now = rebegun(SHARING["separate"])
    head, batch, statistics = now.learner.action_head, now.batch, now.state.value_statistics
    rng = np.random.default_rng(0)
    true = now.state.action_head.replace(
        kernel=jnp.asarray(rng.normal(size=now.state.action_head.kernel.shape)),
        bias=jnp.asarray(rng.normal(size=now.state.action_head.bias.shape)),
    )
    values = head.values(true, now.state.actor, batch, statistics)
    q = np.asarray((values.slope * values.action).sum((-2, -1)))[..., None]
    noisy = q + q.std() * rng.normal(size=q.shape)
    # δ = r + γ V' − V
    reward = noisy + batch.value - head.gamma * batch.next_value
    trajectory = batch.trajectory.replace(reward=jnp.asarray(reward[..., 0]))
    batch = batch.replace(trajectory=trajectory)
    state, explained = head.init(now.state.actor, now.state.critic), []
    fit = jax.jit(head.fit)
    for _ in range(100):
        state, told = fit(state, batch, statistics)
        explained.append(float(told["action_values_explained"]))
    assert abs(explained[0]) < 1e-6  # it begins with q = 0
    found = head.values(state, now.state.actor, batch, statistics)
    found = np.asarray((found.slope * found.action).sum((-2, -1)))[..., None]
    assert 0.4 < explained[-1] < 0.65  # the noise stays
    assert 1 - np.square(found - q).mean() / np.square(q).mean() > 0.85


@sharing
def test_nothing_is_compiled_anew(case):
    _, iterate = learner_of(config_of(**case))
    run(config_of(**case), 3)
    assert iterate._cache_size() == 1


def test_a_head_that_is_no_number_is_a_fault():
    now = rebegun(SHARING["separate"])
    head = now.state.action_head
    broken = now.state.replace(action_head=head.replace(bias=head.bias + jnp.nan))
    for state, expected in ((now.state, False), (broken, True)):
        assert bool(find_faults(now.batch.trajectory, {}, state)["action values"]) is expected


def test_nothing_of_it_is_there_without_need():
    learner, _ = learner_of(small_config("probe/credit"))
    state = jax.eval_shape(lambda: learner.init(0))
    assert state.action_head == ()
    assert learner.action_head is None


@pytest.mark.slow
def test_it_is_resumed(tmp_path):
    assert_resumed(config_of(), tmp_path)


def test_a_local_critic_has_none():
    with pytest.raises(ConfigError, match=r"where algorithm\.critic is"):
        opspo.OPSPOConfig(advantage="doubly_robust", critic="local", state_weight="none")
    mine = opspo.MAPPOConfig(critic="local", advantage=lambda value, action_value: action_value)
    config = small_config("probe/credit", "mappo")
    with pytest.raises(ConfigError, match="asks for action values"):
        make_learner(replace(config, algorithm=mine), make_env(config.env), mine)
    with pytest.raises(ConfigError, match="trace_agents must be 'others'"):
        opspo.OPSPOConfig(advantage="doubly_robust", trace_agents="all")
    with pytest.raises(ConfigError, match="action_head_rate must be positive"):
        opspo.OPSPOConfig(action_head_rate=0.0)
