"""The team as one object: whose parameters, whose memory, in whose place."""

import dataclasses

import jax
import numpy as np
import pytest

from opspo.config import PolicyConfig
from opspo.environments.base import EnvironmentSpec, Observation
from opspo.policies.distributions import DiagonalGaussian, MaskedCategorical
from opspo.policies.team import Critic, Team, make_critic, make_team

pytestmark = pytest.mark.lenient_dtypes  # Flax makes parameters of 32 bits

STEPS, BATCH, AGENTS, WIDTH = 4, 3, 4, 5
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
sharing = pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
remembering = pytest.mark.parametrize("recurrent", [True, False], ids=["gru", "plain"])

init = jax.jit(Team.init, static_argnums=0)
unroll = jax.jit(Team.unroll, static_argnums=0)
value_of = jax.jit(Critic.values, static_argnums=0)


def arbitrary(init):
    """Parameters of 64 bits in the shapes that `init` gives; of the statistics positive ones."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(init, jax.random.PRNGKey(0))
    values = jax.tree.map(lambda p: 0.5 * rng.normal(size=p.shape), shapes)
    return values | {"statistics": jax.tree.map(lambda x: np.abs(x) + 0.5, values["statistics"])}


def build(shared, recurrent, continuous=False):
    sizes = {"action_size": 2} if continuous else {"num_actions": 3}
    spec = EnvironmentSpec(
        name="none", num_agents=AGENTS, observation_size=WIDTH, state_size=7, **sizes
    )
    config = PolicyConfig(
        share_parameters=shared, hidden_sizes=(8, 6), recurrent=recurrent, output_gain=1.0
    )
    team = make_team(config, spec)
    params = arbitrary(team.init)
    return team, params, make_critic(config, spec)


def inputs(team, seed=0):
    rng = np.random.default_rng(seed)
    observation = rng.normal(size=(STEPS, BATCH, AGENTS, WIDTH))
    memory = rng.normal(size=(BATCH, AGENTS, team.memory_size))
    first = np.zeros((STEPS, BATCH), bool)
    first[0, 1] = first[2, 0] = True
    return observation, memory, first


def own(team, params, agent):
    return params if team.shared else jax.tree.map(lambda x: x[agent], params)


@sharing
@remembering
def test_unroll_is_each_agents_network_by_itself(shared, recurrent):
    team, params, _ = build(shared, recurrent)
    observation, memory, first = inputs(team)
    output, after = unroll(team, params, observation, memory, first)
    assert output.shape == (STEPS, BATCH, AGENTS, 3)
    assert after.shape == memory.shape
    assert np.isfinite(output).all(), "NaN would equal NaN below"
    network = jax.jit(team.network.apply)
    for agent in range(AGENTS):
        alone, last = network(
            own(team, params, agent), observation[:, :, agent], memory[:, agent], first
        )
        np.testing.assert_allclose(output[:, :, agent], alone, **CLOSE)
        np.testing.assert_allclose(after[:, agent], last, **CLOSE)


@sharing
def test_the_memory_is_kept_after_each_step(shared):
    team, params, _ = build(shared, recurrent=True)
    observation, memory, first = inputs(team)
    output, memories = jax.jit(Team.remember, static_argnums=0)(
        team, params, observation, memory, first
    )
    for step in range(STEPS):
        now = slice(step, step + 1)
        expected, memory = unroll(team, params, observation[now], memory, first[now])
        np.testing.assert_allclose(output[now], expected, **CLOSE)
        np.testing.assert_allclose(memories[step], memory, **CLOSE)


@sharing
@remembering
@pytest.mark.parametrize("agents", [[2], [3, 0], [1, 2, 3]])
def test_a_group_is_a_slice_of_the_team(shared, recurrent, agents):
    team, params, _ = build(shared, recurrent)
    observation, memory, first = inputs(team)
    whole, after = unroll(team, params, observation, memory, first)
    agents = np.array(agents)
    part, part_after = unroll(
        team, team.select(params, agents), observation[:, :, agents], memory[:, agents], first
    )
    np.testing.assert_allclose(part, whole[:, :, agents], **CLOSE)
    np.testing.assert_allclose(part_after, after[:, agents], **CLOSE)


@sharing
def test_separate_agents_begin_apart(shared):
    team, _, _ = build(shared, recurrent=False)
    params = init(team, jax.random.PRNGKey(0))
    observation, memory, first = inputs(team)
    observation = np.broadcast_to(observation[:, :, :1], observation.shape)
    output, _ = unroll(team, params, observation, memory, first)
    for agent in range(1, AGENTS):
        apart = np.abs(output[:, :, agent] - output[:, :, 0]).max()
        assert apart < 1e-6 if shared else apart > 1e-2


def test_an_agent_sees_its_own_observation_only():
    for shared in (True, False):
        team, params, _ = build(shared, recurrent=True)
        observation, memory, first = inputs(team)
        plain, _ = unroll(team, params, observation, memory, first)
        other = observation.copy()  # the first call may still be reading its own
        other[:, 1, 2, 0] += 1
        changed, _ = unroll(team, params, other, memory, first)
        touched = np.abs(np.asarray(changed - plain)).max(axis=(0, 3)) > 1e-9
        expected = np.zeros((BATCH, AGENTS), bool)
        expected[1, 2] = True
        np.testing.assert_array_equal(touched, expected)


def test_separate_parameters_are_selected_and_replaced_by_agent():
    team, params, _ = build(shared=False, recurrent=True)
    agents = np.array([3, 1])
    chosen = team.select(params, agents)
    marked = jax.tree.map(
        lambda x: x + np.array([10.0, 20.0]).reshape(2, *[1] * (x.ndim - 1)), chosen
    )
    replaced = team.replace(jax.tree.map(jax.numpy.asarray, params), agents, marked)
    triples = zip(
        *map(jax.tree.leaves, (params, chosen, jax.tree.map(np.asarray, replaced))), strict=True
    )
    for before, group, after in triples:
        assert before.shape[0] == AGENTS
        np.testing.assert_array_equal(group, before[[3, 1]])
        np.testing.assert_array_equal(after[[0, 2]], before[[0, 2]])
        np.testing.assert_allclose(after[3], before[3] + 10)
        np.testing.assert_allclose(after[1], before[1] + 20)


def test_shared_parameters_are_one_set_whoever_asks():
    team, params, _ = build(shared=True, recurrent=True)
    new = jax.tree.map(lambda x: x + 1, params)
    assert team.select(params, np.array([2])) is params
    assert team.replace(params, np.array([2]), new) is new
    separate = build(shared=False, recurrent=True)[1]
    for one, many in zip(jax.tree.leaves(params), jax.tree.leaves(separate), strict=True):
        assert many.shape == (AGENTS, *one.shape)


@remembering
def test_memory_begins_empty_and_of_the_right_size(recurrent):
    team, _, critic = build(shared=True, recurrent=recurrent)
    size = 6 if recurrent else 0
    assert team.initial_memory(2, 3).shape == (2, 3, AGENTS, size)
    assert critic.initial_memory(5).shape == (5, 1, size)
    assert not np.asarray(team.initial_memory(2, 3)).any()


def test_the_spec_decides_the_distribution_and_the_head():
    discrete, params, _ = build(shared=True, recurrent=False)
    assert isinstance(discrete.distribution, MaskedCategorical)
    assert unroll(discrete, params, *inputs(discrete))[0].shape[-1] == 3
    continuous, params, _ = build(shared=True, recurrent=False, continuous=True)
    assert isinstance(continuous.distribution, DiagonalGaussian)
    assert unroll(continuous, params, *inputs(continuous))[0].shape[-1] == 4


@remembering
def test_critic_values_each_stream_by_itself(recurrent):
    _, _, critic = build(shared=True, recurrent=recurrent)
    params = arbitrary(critic.init)
    rng = np.random.default_rng(2)
    state = rng.normal(size=(STEPS, BATCH, 1, 7))
    memory = rng.normal(size=(BATCH, 1, critic.memory_size))
    first = np.zeros((STEPS, BATCH), bool)
    value = value_of(critic, params, state, memory, first)
    assert value.shape == (STEPS, BATCH, 1)
    for stream in range(BATCH):
        one = slice(stream, stream + 1)
        alone = value_of(critic, params, state[:, one], memory[one], first[:, one])
        np.testing.assert_allclose(value[:, one], alone, **CLOSE)


@remembering
def test_values_are_the_last_layer_on_the_features(recurrent):
    _, _, critic = build(shared=True, recurrent=recurrent)
    params = arbitrary(critic.init)
    rng = np.random.default_rng(3)
    state = rng.normal(size=(STEPS, BATCH, 1, 7))
    memory = rng.normal(size=(BATCH, 1, critic.memory_size))
    first = np.zeros((STEPS, BATCH), bool)
    features = jax.jit(critic.features)(params, state, memory, first)
    head = params["params"]["Dense_0"]
    np.testing.assert_allclose(
        (features @ head["kernel"])[..., 0] + head["bias"][0],
        value_of(critic, params, state, memory, first),
        **CLOSE,
    )


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
def test_a_local_critic_is_one_for_each_agent_and_blind_in_death(shared):
    config = PolicyConfig(share_parameters=shared, hidden_sizes=(8, 6))
    spec = EnvironmentSpec(
        name="none", num_agents=AGENTS, observation_size=WIDTH, state_size=7, num_actions=3
    )
    local, central = make_critic(config, spec, local=True), make_critic(config, spec)
    rng = np.random.default_rng(4)
    seen = Observation(
        observation=rng.normal(size=(BATCH, AGENTS, WIDTH)),
        state=rng.normal(size=(BATCH, 7)),
        available_actions=None,
        alive=np.arange(AGENTS) != 1,
    )
    view = np.asarray(local.view(seen))
    np.testing.assert_array_equal(view[:, 1], 0)
    np.testing.assert_array_equal(view[:, [0, 2, 3]], seen.observation[:, [0, 2, 3]])
    np.testing.assert_array_equal(central.view(seen), seen.state[:, None])
    agents = np.array([3, 1])
    np.testing.assert_array_equal(local.members(agents), agents)
    np.testing.assert_array_equal(central.members(agents), [0])
    params = arbitrary(local.init)
    leaves = jax.tree.leaves(params)
    assert shared or all(x.shape[0] == AGENTS for x in leaves)
    value = value_of(
        local, params, view[None], np.zeros((BATCH, AGENTS, 0)), np.zeros((1, BATCH), bool)
    )
    assert value.shape == (1, BATCH, AGENTS)


@sharing
def test_running_statistics_scale_the_inputs_and_count_who_is_alive(shared):
    spec = EnvironmentSpec(
        name="none", num_agents=AGENTS, observation_size=WIDTH, state_size=7, num_actions=3
    )
    config = PolicyConfig(
        share_parameters=shared, hidden_sizes=(8, 6), output_gain=1.0, running_normalisation=True
    )
    plain = dataclasses.replace(config, running_normalisation=False)
    team = make_team(config, spec)
    params = jax.jit(team.init)(jax.random.PRNGKey(0))
    assert "statistics" not in make_team(plain, spec).init(jax.random.PRNGKey(0))
    rng = np.random.default_rng(3)
    seen = rng.normal(7, 4, size=(STEPS, BATCH, AGENTS, WIDTH)).astype(np.float32)
    alive = rng.uniform(size=seen.shape[:3]) < 0.7
    observed = team.observe(params, seen, alive)
    for agent in range(AGENTS):
        found = own(team, observed, agent)["statistics"]["torso"]["input"]
        counted = seen[alive] if shared else seen[:, :, agent][alive[:, :, agent]]
        np.testing.assert_allclose(found["mean"], counted.mean(0), rtol=1e-5)
        np.testing.assert_allclose(found["variance"], counted.var(0), rtol=1e-4)
        assert found["count"] == len(counted)

    # the network sees (x - mean) / deviation: the same as fresh statistics on scaled inputs
    memory, first = np.zeros((BATCH, AGENTS, 0), np.float32), np.zeros((STEPS, BATCH), bool)
    expected = np.empty_like(seen)
    for agent in range(AGENTS):
        found = own(team, observed, agent)["statistics"]["torso"]["input"]
        found = jax.device_get(found)
        expected[:, :, agent] = (seen[:, :, agent] - found["mean"]) / np.sqrt(found["variance"])
    ours, _ = unroll(team, observed, seen, memory, first)
    theirs, _ = unroll(team, params, expected, memory, first)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    gradient = jax.jit(jax.grad(lambda p: unroll(team, p, seen, memory, first)[0].sum()))(observed)
    assert not any(np.any(x) for x in jax.tree.leaves(gradient["statistics"]))
