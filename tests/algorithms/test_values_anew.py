"""`values anew`: each stage's values are of the critic that the stages before have left behind."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import collect, learner_of, run, small_config

from opspo.config import ConfigError, HAPPOConfig, OPSPOConfig
from opspo.update.step import Learners

CASES = {
    "separate": {"shared": False, "order": "cyclic"},
    "separate, recurrent": {"shared": False, "order": "random", "recurrent": True},
    "shared": {"blocks": 2, "epochs": 2},
    "shared, recurrent": {"blocks": 2, "epochs": 2, "recurrent": True},
    "local critics": {"shared": False, "critic": "local", "state_weight": "none"},
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def config_of(case, values, probe="truncation"):
    return small_config(f"probe/{probe}", "opspo", **{"epochs": 4} | case, values=values)


def prepared(config):
    """Learner, batch, what learns, and the plan, of the second iteration: units have moved."""
    learner, _ = learner_of(config)
    state, _ = run(config, 1)
    trajectory = collect(learner, state)
    batch, statistics, _ = learner._evaluate(state, trajectory)
    learners = Learners(
        state.actor, state.actor_optimiser, state.critic, state.critic_optimiser, statistics
    )
    plan = learner.algorithm.schedule(jax.random.PRNGKey(3), jnp.zeros(learner.team.num_members))
    return learner, state, batch, learners, plan


def carried_out(learner, state, batch, learners, plan, stages):
    """What the first stages of a plan leave, and the values that each of them has seen."""
    seen = []
    correct = learner.algorithm.correct

    def noted(data, omega):
        jax.debug.callback(
            lambda *found: seen.append(found), data.stage, data.value, data.next_value, ordered=True
        )
        return correct(data, omega)

    algorithm = dataclasses.replace(learner.algorithm, correct=noted)
    update = dataclasses.replace(learner.update, algorithm=algorithm)
    part = jax.tree.map(lambda x: x[:stages], plan)
    after = update(learners, state.state_weight, batch, part, jax.random.PRNGKey(4))[0]
    jax.effects_barrier()
    return after, [found[1:] for found in sorted(seen, key=lambda found: int(found[0]))]


def along(learner, params, memory, trajectory):
    """The critic's outputs, one step after another: for the states and for their successors."""
    network, shared = learner.critic.network, learner.critic.shared
    steps, envs, members = trajectory.state.shape[:3]
    raw, following = np.zeros((2, steps, envs, members))
    no_start = jnp.zeros((1, envs), bool)
    for member in range(members):
        own = params if shared else jax.tree.map(lambda x: x[member], params)  # noqa: B023
        h = memory[:, member]
        for t in range(steps):
            h = jnp.where(trajectory.first[t][:, None], 0, h)
            here = trajectory.state[t, :, member][None]
            value, h = network.apply(own, here, h, no_start)
            raw[t, :, member] = value[0, :, 0]
            ahead = trajectory.next_state[t, :, member][None]
            following[t, :, member] = network.apply(own, ahead, h, no_start)[0][0, :, 0]
    return raw, following


@cases
def test_a_stage_sees_the_critic_after_the_stages_before(case):
    learner, state, batch, learners, plan = prepared(config_of(case, "anew"))
    stages = plan.agents.shape[0]
    _, seen = carried_out(learner, state, batch, learners, plan, stages)
    assert len(seen) == stages >= 2
    members = learner.critic.members(plan.agents[0])
    np.testing.assert_array_equal(seen[0][0], batch.value[..., members])
    np.testing.assert_array_equal(seen[0][1], batch.next_value[..., members])
    trajectory = batch.trajectory
    for stage in range(1, stages):
        after, _ = carried_out(learner, state, batch, learners, plan, stage)
        raw, following = along(learner, after.critic, state.critic_memory, trajectory)
        mean, deviation = after.value_statistics.mean, after.value_statistics.variance**0.5
        going_on = ~trajectory.terminated[..., None]
        members = learner.critic.members(plan.agents[stage])
        value = (raw * deviation + mean)[..., members]
        next_value = ((following * deviation + mean) * going_on)[..., members]
        np.testing.assert_allclose(seen[stage][0], value, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(seen[stage][1], next_value, rtol=1e-4, atol=1e-4)
        if learner.critic.shared:  # else this agent's critic has not moved yet
            assert np.abs(seen[stage][0] - batch.value[..., members]).max() > 1e-3


@cases
def test_collected_values_stay(case):
    learner, state, batch, learners, plan = prepared(config_of(case, "collected"))
    _, seen = carried_out(learner, state, batch, learners, plan, plan.agents.shape[0])
    for agents, (value, next_value) in zip(plan.agents, seen, strict=True):
        members = learner.critic.members(agents)
        np.testing.assert_array_equal(value, batch.value[..., members])
        np.testing.assert_array_equal(next_value, batch.next_value[..., members])


def test_it_changes_the_second_agent_and_not_the_first():
    learner, *begun = prepared(config_of(CASES["separate"], "collected"))
    algorithm = dataclasses.replace(learner.algorithm, values_anew=True)
    anew = dataclasses.replace(learner, algorithm=algorithm)
    collected, moved = (carried_out(each, *begun, 2)[0].actor["params"] for each in (learner, anew))
    gaps = jax.tree.map(lambda a, b: jnp.abs(a - b).reshape(2, -1).max(1), collected, moved)
    one, two = np.max(jax.tree.leaves(gaps), axis=0)
    assert one < 1e-6
    assert two > 1e-4


@cases
def test_nothing_is_compiled_anew(case):
    config = config_of(case, "anew", probe="credit")
    _, iterate = learner_of(config)
    run(config, 4)
    assert iterate._cache_size() == 1


def test_a_critic_trained_after_all_agents_is_refused():
    with pytest.raises(ConfigError, match="does not move between them"):
        HAPPOConfig(critic_epochs=3, values="anew")
    assert OPSPOConfig(values="anew").values == "anew"
