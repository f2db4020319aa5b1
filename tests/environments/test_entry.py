"""What comes in is brought into form once, whatever an environment's author returns."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from counting import LIMIT, Counting, OnHost, config_of, iterate, make, where
from small import small_config

import opspo
from opspo.config import EvaluationConfig
from opspo.environments.base import EnvironmentSpec, Step
from opspo.environments.entry import as_made, entered
from opspo.errors import ConfigError
from opspo.evaluate import make_evaluator
from opspo.policies.team import check_inputs, make_team
from opspo.training.assembly import make_learner


@where
@pytest.mark.parametrize("seen", ["int8", "uint16", "bool", "float16", "bfloat16"])
@pytest.mark.parametrize("reward", ["bool", "int32", "float16"])
def test_any_dtype_enters_as_float32(where, seen, reward):
    environment = entered(
        make(where, seen=jnp.dtype(seen), reward=jnp.dtype(reward)), agent_id=False
    )
    if where == "jax":
        state, first = environment.reset(jax.random.PRNGKey(0))
        _, step = environment.step(jax.random.PRNGKey(0), state, jnp.zeros(2, int))
    else:
        batch = environment.open(3, 0)
        first = batch.reset()
        step, _ = batch.step(np.zeros((3, 2), int))
    for look in (first, step.observation):
        assert {look.observation.dtype, look.state.dtype} == {np.dtype("float32")}
        assert {look.available_actions.dtype, look.alive.dtype} == {np.dtype(bool)}
    assert {step.reward.dtype, step.outcome["steps"].dtype} == {np.dtype("float32")}
    assert np.asarray(step.reward == 1).all()


@where
@pytest.mark.parametrize("reward", ["bool", "int8", "float16"])
def test_five_rewards_of_any_dtype_are_a_return_of_five(where, reward):
    environment = make(where, reward=jnp.dtype(reward))
    config = small_config("own", "mappo", epochs=1)
    episodes = iterate(environment, config)["episodes"]
    assert (episodes["episode_return"], episodes["episode_length"]) == (5, 5)
    assert (episodes["reward"], episodes["steps"]) == (1, 5)
    learner = make_learner(config, environment)
    state = learner.init(0)
    evaluator = make_evaluator(learner.environment, learner.team, episodes=3, greedy=True)
    assert evaluator(state.actor, 0).returns == (5, 5, 5)


@where
def test_both_flags_at_once_are_a_termination(where):
    environment = entered(make(where), agent_id=False)
    if where == "jax":
        _, step = environment.step(jax.random.PRNGKey(0), jnp.array(LIMIT - 1), jnp.zeros(2, int))
    else:
        batch = environment.open(1, 0)
        batch.reset()
        for _ in range(LIMIT):
            step, _ = batch.step(np.zeros((1, 2), int))
    assert np.all(step.terminated)
    assert not np.any(step.truncated)


# ------------------------------------------------------------------------------------ agents' ids


class Twins(Counting):
    """Both see the same; agent 0 should play 0, agent 1 should play 1."""

    def step(self, key, state, action):
        t = state + 1
        pay = (action == jnp.arange(2)).mean()
        return t, Step(
            self.observe(t), pay, t == LIMIT, jnp.array(False), jnp.array(False),
            outcome={"steps": t},
        )  # fmt: skip


def test_an_agents_number_is_appended_once():
    made = Counting()
    environment = entered(entered(made, agent_id=True), agent_id=True)
    assert as_made(environment) is made
    assert environment.spec == dataclasses.replace(made.spec, observation_size=6)
    _, seen = environment.reset(jax.random.PRNGKey(0))
    np.testing.assert_array_equal(seen.observation[:, 4:], np.eye(2))
    batch = entered(OnHost(made), agent_id=True).open(3, 0)
    seen = batch.reset()
    assert seen.observation.dtype == np.float32
    np.testing.assert_array_equal(seen.observation[..., 4:], [np.eye(2)] * 3)
    step, following = batch.step(np.zeros((3, 2), int))
    for look in (step.observation, following):
        np.testing.assert_array_equal(look.observation[..., 4:], [np.eye(2)] * 3)


@pytest.mark.slow
def test_twins_that_share_parameters_can_only_tell_themselves_apart_by_number(tmp_path):
    returns = {}
    for known in (False, True):
        config = opspo.default_config("twins", "mappo")
        assert config.policy.agent_id
        config = dataclasses.replace(
            config,
            total_steps=16_000,
            run_dir=str(tmp_path / str(known)),
            tensorboard=False,
            policy=dataclasses.replace(config.policy, agent_id=known),
            evaluation=EvaluationConfig(every_steps=0, final_episodes=10),
        )
        result = opspo.train(config, environment=Twins())
        returns[known] = np.mean(result.evaluation.returns)
    assert returns == {False: 2.5, True: 5.0}
    policy = opspo.load_policy(tmp_path / "True")
    assert policy.spec.observation_size == 4, "an observation goes in as the environment gives it"
    seen = np.full((2, 4), 3)
    assert policy.act(seen).tolist() == [0, 1]
    policy.reset()
    assert policy.act(np.stack([seen, seen])).tolist() == [[0, 1], [0, 1]]
    assert [policy.agent(i).act(seen[:1])[0] for i in (0, 1)] == [0, 1]


@pytest.mark.parametrize(
    ("env", "appended"),
    [
        ("own", True),
        ("pettingzoo/mpe2.simple_spread_v3", True),
        ("jaxmarl/MPE_simple_spread_v3", True),
        ("smax/3m", False),
        ("smac/3m", False),
        ("mamujoco/HalfCheetah-6x1", False),
        ("football/5_vs_5", False),
    ],
)
def test_where_the_number_is_on(env, appended):
    assert opspo.default_config(env, "opspo").policy.appends_agent_id == appended


# ------------------------------------------------------------------------------------ blindness


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_layer_norm_is_not_put_before_a_few_features(size, tmp_path):
    spec = EnvironmentSpec("own", 2, size, 8, num_actions=2)
    config = small_config("own")
    blind = dataclasses.replace(config.policy, running_normalisation=False)
    check_inputs(config, spec)
    for policy in (blind, dataclasses.replace(blind, layer_norm=False)):
        now = dataclasses.replace(config, policy=policy)
        if not policy.layer_norm:
            check_inputs(now, spec)
            continue
        with pytest.raises(ConfigError, match=rf"running_normalisation must be on.*{size} f"):
            check_inputs(now, spec)
        with pytest.raises(ConfigError, match="critic sees"):
            check_inputs(now, dataclasses.replace(spec, observation_size=8, state_size=size))
        check_inputs(now, dataclasses.replace(spec, observation_size=8))


@pytest.mark.parametrize("width", [1, 3])
def test_nor_behind_a_layer_that_is_as_narrow(width):
    spec, config = EnvironmentSpec("own", 2, 8, 8, num_actions=2), small_config("own")
    for widths in {"hidden_sizes": (8, width)}, {"output_sizes": (width,)}:
        narrow = dataclasses.replace(config.policy, **widths)
        now = dataclasses.replace(config, policy=narrow)
        with pytest.raises(ConfigError, match=r"hidden_sizes must be widths of at least 4"):
            check_inputs(now, spec)
        bare = dataclasses.replace(narrow, layer_norm=False)
        check_inputs(dataclasses.replace(config, policy=bare), spec)


def test_the_default_sees_an_offset_and_a_scale():
    """Running statistics, after they have seen them: what two vectors share tells them apart."""
    config = opspo.default_config("own", "mappo")
    team = make_team(config.policy, EnvironmentSpec("own", 1, 2, 2, num_actions=2))
    params = team.init(jax.random.PRNGKey(0))
    seen = 2000.0 + jax.random.normal(jax.random.PRNGKey(1), (50, 20, 1, 2))
    params = team.observe(params, seen, jnp.ones(seen.shape[:-1], bool))

    def features(x):
        memory, first = jnp.zeros((1, 1, 0)), jnp.zeros((1, 1), bool)
        return team.features(params, jnp.full((1, 1, 1, 2), x), memory, first)

    assert np.abs(features(2001.0) - features(1999.0)).max() > 0.1


# ------------------------------------------------------------------------------------ outcomes


class Undefined(Counting):
    """An outcome that is NaN in each episode, as a share of nothing is."""

    def step(self, key, state, action):
        state, step = super().step(key, state, action)
        return state, step.replace(outcome={"steps": jnp.float32(jnp.nan)})


def test_an_outcome_that_is_not_finite_is_null_and_named_once(tmp_path, capsys):
    config = config_of(tmp_path, every_steps=512, episodes=2)
    opspo.train(config, environment=Undefined())
    folder = config.folder
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
    assert len(rows) == 8
    assert all(row["steps"] is None and row["episode_return"] == 5 for row in rows)
    evaluation = json.loads((folder / "evaluations.jsonl").read_text().splitlines()[-1])
    assert evaluation["steps"] is None
    assert evaluation["outcomes"]["steps"] == [None, None]
    assert evaluation["mean_return"] == 5
    assert capsys.readouterr().out.count("is not finite") == 1
    # a finished run that is resumed reads it back, as a number
    again = opspo.resume(folder, environment=Undefined()).evaluation
    assert np.isnan(again.outcomes["steps"]).all() and again.returns == (5, 5)
    assert again.summary().items() <= evaluation.items()
