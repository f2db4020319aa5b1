"""What A2PO's public code has beside its paper, seen in the stages of an update.

A2PO-ICLR2023 at c953380: `sequential_train` in onpolicy/algorithms/r_mappo/r_mappo.py and
`some_agent_compute_returns_from_current_policy` in onpolicy/utils/shared_buffer.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import corrections as oracle
from oracles import traces
from small import small_config
from stages import begun, carried_out

from opspo.errors import ConfigError
from opspo.estimators import action_ratios
from opspo.rollout.chunks import from_chunks, to_chunks

PUBLIC = {
    "clip_range": "double_by_ratios",
    "trace_agents": "all",
    "trace_decay": "twice",
    "value_target": "gae",
    "extra_critic_passes": 1,
    "block_epochs": "divided",
    "blocks": 2,
    "epochs": 6,
}
SEPARATE = PUBLIC | {"clip_range": "double_by_position", "shared": False}


def of_public_code(probe="overshoot", **settings):
    return begun(small_config(f"probe/{probe}", "a2po", **PUBLIC | settings))


@pytest.fixture(scope="module")
def shared():
    now = of_public_code()
    return now, carried_out(now, now.stages)[1]


def own_log_ratios(now, actor):
    """Of every agent [T, E, N] under some parameters, one agent after another."""
    team, trajectory = now.learner.team, now.batch.trajectory
    steps, envs, agents = trajectory.alive.shape
    found = np.zeros((steps, envs, agents))
    for agent in range(agents):
        one = jnp.array([agent])
        log_prob = team.log_prob(
            team.select(actor, one),
            to_chunks(trajectory.observation[:, :, one], 1),
            jnp.zeros((steps * envs, 1, 0)),
            jnp.zeros((1, steps * envs), bool),
            to_chunks(trajectory.action[:, :, one], 1),
            to_chunks(trajectory.available_actions[:, :, one], 1),
        )
        old = to_chunks(trajectory.log_prob[:, :, one], 1)
        change = from_chunks(action_ratios.product(log_prob, old), envs)[..., 0]
        found[..., agent] = np.where(trajectory.alive[..., agent], change, 0)
    return found


def test_rounds_are_the_epochs_divided_by_the_blocks(shared):
    now, seen = shared
    assert len(seen) == now.stages == 6  # ceil(6 / 2) rounds of 2 blocks


def test_the_clip_is_of_the_ratios_when_the_round_began(shared):
    now, seen = shared
    clip = now.learner.config.algorithm.clip
    for stage, data in enumerate(seen):
        began = stage - stage % 2
        actor = carried_out(now, began)[0].actor if began else now.learners.actor
        ratios = np.exp(own_log_ratios(now, actor))
        expected = oracle.ratio_clips(ratios.reshape(-1, ratios.shape[-1]).tolist(), clip)
        agents = np.asarray(now.plan.agents[stage])
        np.testing.assert_allclose(clip * data.nearness, np.array(expected)[agents], rtol=1e-4)
    assert np.ptp(seen[-1].nearness) > 1e-4  # they had moved by then


def test_the_range_is_that_clip_around_the_others_ratio(shared):
    now, seen = shared
    clip, others_clip = (getattr(now.learner.config.algorithm, n) for n in ("clip", "others_clip"))
    for data in seen:
        got = now.learner.algorithm.correct(data, jnp.ones_like(data.log_ratio))
        g = np.clip(np.exp(data.log_ratio), 1 - others_clip, 1 + others_clip)
        np.testing.assert_allclose(got.weight, g, rtol=1e-5)
        np.testing.assert_allclose(got.low, (1 - clip * data.nearness) / g, rtol=1e-5)
        np.testing.assert_allclose(got.high, (1 + clip * data.nearness) / g, rtol=1e-5)


def test_traces_take_the_ratios_of_all_agents_the_own_one_among_them(shared):
    now, seen = shared
    for stage in (1, len(seen) - 1):
        actor = carried_out(now, stage)[0].actor
        every = own_log_ratios(now, actor)
        agents = np.asarray(now.plan.agents[stage])
        joint = np.broadcast_to(every.sum(-1, keepdims=True), (*every.shape[:2], len(agents)))
        np.testing.assert_allclose(seen[stage].trace_log_ratio, joint, atol=1e-5)
        np.testing.assert_allclose(seen[stage].log_ratio, joint - every[..., agents], atol=1e-5)


@pytest.mark.parametrize("settings", [{}, SEPARATE], ids=["shared", "separate"])
def test_the_first_stage_takes_gae_and_the_others_lambda_twice(settings):
    now = of_public_code("truncation", **settings)
    config = now.learner.config.algorithm
    numbers = {"gamma": config.gamma, "lam": config.gae_lambda}
    for stage, data in enumerate(carried_out(now, now.stages)[1]):
        got = now.learner.algorithm.correct(data, jnp.ones_like(data.log_ratio))
        arrays = [np.asarray(x, float) for x in (data.reward, data.value, data.next_value)]
        arrays += [np.asarray(data.done), np.exp(np.asarray(data.trace_log_ratio, float))]
        plain = traces.over_streams(lambda *x, **n: traces.gae(*x[:4], **n), *arrays, **numbers)
        expected = plain
        if stage > 0:
            expected = traces.over_streams(
                traces.preceding_agent_trace, *arrays, decay="twice", **numbers
            )
        np.testing.assert_allclose(got.advantage, expected, rtol=1e-3, atol=1e-4)
        # what the traces give is written into a copy (shared_buffer.py, 590)
        np.testing.assert_allclose(got.value_target, plain + arrays[1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("agents", [2, pytest.param(3, marks=pytest.mark.full)])
def test_the_last_in_the_order_has_the_whole_clip(agents):
    """near_linear with agent_order − len(agent_ids) + i + 1 of n, which ends at n."""
    probe = {2: "credit", 3: "regulator"}[agents]
    now = of_public_code(probe, **SEPARATE)
    positions = [float(data.position[0]) for data in carried_out(now, now.stages)[1]]
    np.testing.assert_allclose(positions, (np.arange(agents) + 1) / agents)
    blocks = {"clip_range": "double_by_position", "blocks": agents, "probe": probe}
    for data in carried_out(now := of_public_code(**blocks), now.stages)[1][agents - 1 :: agents]:
        np.testing.assert_allclose(sorted(data.position), (np.arange(agents) + 1) / agents)


@pytest.mark.parametrize("settings", [{"shared": False}, {"algo": "mappo"}], ids=str)
def test_the_clip_by_ratios_needs_rounds_over_shared_parameters(settings):
    with pytest.raises(ConfigError, match="double_by_position"):
        small_config("probe/credit", **{"algo": "a2po"} | settings, clip_range="double_by_ratios")


def test_with_the_running_trace_the_first_stage_is_gae_too():
    now = of_public_code("truncation", trace_decay="running")
    config = now.learner.config.algorithm
    numbers = {"gamma": config.gamma, "lam": config.gae_lambda}
    for data in carried_out(now, 3)[1]:
        got = now.learner.algorithm.correct(data, jnp.ones_like(data.log_ratio)).advantage
        arrays = [np.asarray(x, float) for x in (data.reward, data.value, data.next_value)]
        arrays += [np.asarray(data.done), np.exp(np.asarray(data.trace_log_ratio, float))]
        expected = traces.over_streams(traces.running_trace, *arrays, **numbers)
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("wrong", [{"advantage": "td"}, {"value_target": "printed"}], ids=str)
def test_the_running_trace_is_one_of_the_full_trace(wrong):
    with pytest.raises(ConfigError, match=r"unless algorithm\.advantage is 'trace'"):
        of_public_code(trace_decay="running", **wrong)


def test_it_is_compiled_once():
    from small import learner_of, run

    config = small_config("probe/credit", "a2po", **PUBLIC)
    run(config, 3)
    assert learner_of(config)[1]._cache_size() == 1
    assert jax.tree.leaves(run(config, 1)[0].actor)
