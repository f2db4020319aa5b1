"""`values anew`: each stage's values are of the critic that the stages before have left behind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import learner_of, run, small_config
from stages import begun, carried_out

from opspo.algorithms import HAPPOConfig, OPSPOConfig
from opspo.errors import ConfigError

CASES = {
    "separate": {"shared": False, "order": "cyclic"},
    "separate, recurrent": {"shared": False, "order": "random", "recurrent": True},
    "shared": {"shared": True, "blocks": 2, "epochs": 2},
    "shared, recurrent": {"shared": True, "blocks": 2, "epochs": 2, "recurrent": True},
    "local critics": {"shared": False, "critic": "local", "state_weight": "none"},
}
cases = pytest.mark.parametrize(
    "case",
    [
        # with memory in `make test-full`
        pytest.param(case, id=name, marks=pytest.mark.full if "recurrent" in case else ())
        for name, case in CASES.items()
    ],
)


def config_of(case, values, probe="truncation"):
    return small_config(f"probe/{probe}", "opspo", **{"epochs": 4} | case, values=values)


def along(learner, params, memory, trajectory):
    """The critic's outputs, one step after another: for the states and for their successors."""
    apply, shared = jax.jit(learner.critic.network.apply), learner.critic.shared
    steps, envs, members = trajectory.state.shape[:3]
    raw, following = np.zeros((2, steps, envs, members))
    no_start = jnp.zeros((1, envs), bool)
    for member in range(members):
        own = params if shared else jax.tree.map(lambda x: x[member], params)  # noqa: B023
        h = memory[:, member]
        for t in range(steps):
            h = jnp.where(trajectory.first[t][:, None], 0, h)
            here = trajectory.state[t, :, member][None]
            value, h = apply(own, here, h, no_start)
            raw[t, :, member] = value[0, :, 0]
            ahead = trajectory.next_state[t, :, member][None]
            following[t, :, member] = apply(own, ahead, h, no_start)[0][0, :, 0]
    return raw, following


@cases
def test_a_stage_sees_the_critic_after_the_stages_before(case):
    now = begun(config_of(case, "anew"))
    critic, batch, trajectory = now.learner.critic, now.batch, now.batch.trajectory
    _, seen = carried_out(now, now.stages)
    assert len(seen) == now.stages >= 2
    members = critic.members(now.plan.agents[0])
    np.testing.assert_array_equal(seen[0].value, batch.value[..., members])
    np.testing.assert_array_equal(seen[0].next_value, batch.next_value[..., members])
    for stage in {1, now.stages - 1}:
        after, _ = carried_out(now, stage)
        raw, following = along(now.learner, after.critic, now.state.critic_memory, trajectory)
        mean, deviation = after.value_statistics.mean, after.value_statistics.variance**0.5
        going_on = ~trajectory.terminated[..., None]
        members = critic.members(now.plan.agents[stage])
        value = (raw * deviation + mean)[..., members]
        next_value = ((following * deviation + mean) * going_on)[..., members]
        np.testing.assert_allclose(seen[stage].value, value, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(seen[stage].next_value, next_value, rtol=1e-4, atol=1e-4)
        if critic.shared:  # else this agent's critic has not moved yet
            assert np.abs(seen[stage].value - batch.value[..., members]).max() > 1e-3


@cases
def test_collected_values_stay(case):
    now = begun(config_of(case, "collected"))
    _, seen = carried_out(now, now.stages)
    for agents, data in zip(now.plan.agents, seen, strict=True):
        members = now.learner.critic.members(agents)
        np.testing.assert_array_equal(data.value, now.batch.value[..., members])
        np.testing.assert_array_equal(data.next_value, now.batch.next_value[..., members])


@pytest.mark.parametrize(
    "case",
    [CASES["shared"], *(pytest.param(CASES[name], marks=pytest.mark.full) for name in CASES)],
)
def test_ahead_the_critic_comes_first(case):
    """The agents' data have the values of the critic that their own stage leaves: it has taken all
    its steps before them, as many as beside them."""
    now = begun(config_of(case, "ahead"))
    trajectory = now.batch.trajectory
    for stage in {0, now.stages - 1}:
        after, seen = carried_out(now, stage + 1)
        assert len(seen) == 2 * (stage + 1)
        raw, following = along(now.learner, after.critic, now.state.critic_memory, trajectory)
        mean, deviation = after.value_statistics.mean, after.value_statistics.variance**0.5
        going_on = ~trajectory.terminated[..., None]
        members = now.learner.critic.members(now.plan.agents[stage])
        value = (raw * deviation + mean)[..., members]
        next_value = ((following * deviation + mean) * going_on)[..., members]
        np.testing.assert_allclose(seen[-1].value, value, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(seen[-1].next_value, next_value, rtol=1e-4, atol=1e-4)
        assert np.abs(seen[-2].value - value).max() > 1e-3


def test_ahead_the_critic_takes_the_steps_that_it_takes_beside_the_agents():
    """In the first stage its targets and steps are the same; only the agents' advantages differ."""
    ahead, beside = (
        carried_out(begun(config_of(CASES["separate"], values)), 1)[0]
        for values in ("ahead", "collected")
    )
    for one, other in zip(
        jax.tree.leaves(ahead.critic), jax.tree.leaves(beside.critic), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    gaps = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), ahead.actor, beside.actor)
    assert np.max(jax.tree.leaves(gaps)) > 1e-4


def test_it_changes_the_second_agent_and_not_the_first():
    now = begun(config_of(CASES["separate"], "collected"))
    collected, moved = (
        carried_out(now, 2, **anew)[0].actor["params"] for anew in ({}, {"values": "anew"})
    )
    gaps = jax.tree.map(lambda a, b: jnp.abs(a - b).reshape(2, -1).max(1), collected, moved)
    one, two = np.max(jax.tree.leaves(gaps), axis=0)
    assert one < 1e-6
    assert two > 1e-4


@cases
def test_nothing_is_compiled_anew(case):
    config = config_of(case, "ahead" if case["shared"] else "anew", probe="credit")
    _, iterate = learner_of(config)
    run(config, 4)
    assert iterate._cache_size() == 1


def test_a_critic_trained_after_all_agents_is_refused():
    with pytest.raises(ConfigError, match="does not move between them"):
        HAPPOConfig(critic_epochs=3, values="anew")
    assert OPSPOConfig(values="anew").values == "anew"
