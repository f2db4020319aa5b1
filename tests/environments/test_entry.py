"""What comes in is brought into form once, whatever an environment's author returns."""

import dataclasses
import json
import signal
import time

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_config

import opspo
from opspo.config import ConfigError, EvaluationConfig
from opspo.environments import make_env
from opspo.environments.base import EngineError, EnvironmentSpec, Observation, Step
from opspo.environments.entry import as_made, entered
from opspo.environments.joint import JointBatch, joint_spaces
from opspo.environments.pettingzoo import from_pettingzoo
from opspo.environments.seeds import spread
from opspo.evaluate import make_evaluator
from opspo.iteration import ready
from opspo.learner import make_learner
from opspo.loop import TrainingError
from opspo.policies.team import check_inputs, make_team

LIMIT = 5


class Counting:
    """Five steps that each pay; everything in the dtypes that it is told to use. In JAX."""

    def __init__(self, *, seen=jnp.int8, reward=jnp.bool_, episode_limit=LIMIT, ends=True, xp=jnp):
        self.seen, self.reward, self.ends, self.xp = seen, reward, ends, xp
        self.spec = EnvironmentSpec(
            "counting",
            num_agents=2,
            observation_size=4,
            state_size=4,
            num_actions=2,
            episode_limit=episode_limit,
            outcomes=("steps",),
        )

    def reset(self, key):
        return jnp.array(0), self.observe(jnp.array(0))

    def step(self, key, state, action):
        t = state + 1
        end = jnp.array(self.ends) & (t == LIMIT)
        pay = jnp.ones((), self.reward)
        return t, Step(
            # both flags, as some engines say it
            self.observe(t), pay, end, end, jnp.array(False), outcome={"steps": t}
        )  # fmt: skip

    def observe(self, t):
        return Observation(
            observation=jnp.full((2, 4), t, self.seen),
            state=jnp.full(4, t, self.seen),
            available_actions=jnp.ones((2, 2), bool),
            alive=jnp.ones(2, bool),
        )


class OnHost:
    """The same outside of JAX. `raises` are the calls at which it raises: (method, how often)."""

    def __init__(self, inner, raises=None):
        self.inner, self.spec = inner, inner.spec
        self.raises = dict(raises or {})

    def count(self, call):
        left = self.raises.get(call)
        if left is not None:
            self.raises[call] = left - 1
            if left == 0:
                del self.raises[call]
                raise ZeroDivisionError(f"the author's fault at {call}")

    def open(self, num_envs, seed):
        self.count("open")
        return OnHostBatch(self, num_envs)


class OnHostBatch:
    lost_episodes = 0

    def __init__(self, environment, num_envs):
        self.environment = environment
        self.state = np.zeros(num_envs, int)

    def observe(self):
        seen = jax.vmap(self.environment.inner.observe)(jnp.asarray(self.state))
        return jax.tree.map(np.asarray, seen)

    def reset(self):
        self.environment.count("reset")
        self.state[:] = 0
        return self.observe()

    def step(self, action):
        self.environment.count("step")
        inner = self.environment.inner
        _, step = jax.vmap(lambda s: inner.step(None, s, None))(jnp.asarray(self.state))
        step = jax.tree.map(np.asarray, step)
        self.state += 1
        self.state[step.terminated] = 0
        return step, self.observe()

    def close(self):
        self.environment.count("close")


def make(where, **arguments):
    inner = Counting(**arguments)
    return inner if where == "jax" else OnHost(inner)


where = pytest.mark.parametrize("where", ["jax", "host"])


def iterate(environment, config, iterations=1):
    learner = make_learner(config, environment)
    state = jax.jit(learner.init)(0)
    with ready(learner, state) as (now, go):
        for _ in range(iterations):
            now, metrics = go(now)  # noqa: PLW2901
    assert not any(jax.device_get(metrics["faults"]).values())
    return jax.device_get(metrics)


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


# ------------------------------------------------------------------------------------ the limit


@where
def test_the_specified_limit_cuts_episodes_that_never_end(where):
    environment = make(where, ends=False)
    episodes = iterate(environment, small_config("own", "mappo", epochs=1))["episodes"]
    assert episodes["episodes"] == 16 * (16 // LIMIT)
    assert (episodes["episode_length"], episodes["episode_return"]) == (LIMIT, LIMIT)
    learner = make_learner(small_config("own"), environment)
    evaluator = make_evaluator(learner.environment, learner.team, episodes=18, greedy=True)
    assert set(evaluator(learner.init(0).actor, 0).lengths) == {LIMIT}


@where
def test_a_cut_at_the_limit_is_a_truncation(where):
    config = small_config("own", "mappo", epochs=1)
    learner = make_learner(config, make(where, ends=False))
    state = learner.init(0)
    if where == "jax":
        _, trajectory = learner.collect(state, jax.random.PRNGKey(0))
        truncated, terminated = trajectory.truncated, trajectory.terminated
    else:
        batch = learner.environment.open(16, 0)
        batch.reset()
        steps = [batch.step(np.zeros((16, 2), int))[0] for _ in range(16)]
        truncated, terminated = (
            np.stack([getattr(step, name) for step in steps])
            for name in ("truncated", "terminated")
        )
    assert not np.any(terminated)
    expected = (np.arange(16) + 1) % LIMIT == 0
    np.testing.assert_array_equal(truncated, np.broadcast_to(expected[:, None], (16, 16)))


class Endless(gymnasium.Env):
    """A joint environment that never ends by itself."""

    SPEC = EnvironmentSpec("endless", 2, 4, 4, num_actions=2, episode_limit=LIMIT)

    def __init__(self):
        self.observation_space, self.action_space = joint_spaces(self.SPEC)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.look(), {}

    def step(self, action):
        self.t += 1
        return self.look(), 1.0, False, False, {}

    def look(self):
        return {
            "observation": np.full((2, 4), self.t, np.float32),
            "state": np.full(4, self.t, np.float32),
            "alive": np.ones(2, np.int8),
            "available_actions": np.ones((2, 2), np.int8),
        }


@pytest.mark.parametrize("workers", [False, True])
def test_a_joint_environment_is_reset_at_the_limit(workers):
    batch = JointBatch(Endless.SPEC, Endless, 2, 0, workers=workers)
    try:
        batch.reset()
        for t in range(1, 2 * LIMIT + 1):
            step, following = batch.step(np.zeros((2, 2), int))
            assert (step.truncated == (t % LIMIT == 0)).all()
            assert not step.terminated.any()
            assert (following.state == t % LIMIT).all()
            assert (step.observation.state == (t - 1) % LIMIT + 1).all()
    finally:
        batch.close()


@where
def test_an_evaluation_without_any_limit_comes_to_its_end(where):
    learner = make_learner(small_config("own"), make(where, ends=False, episode_limit=0))
    evaluator = make_evaluator(
        learner.environment, learner.team, episodes=3, greedy=True, episode_limit=70
    )
    assert evaluator(learner.init(0).actor, 0).lengths == (70, 70, 70)


def test_an_evaluation_in_jax_can_be_interrupted(monkeypatch):
    """Between two calls Python handles signals; one compiled loop would not end for Ctrl-C."""
    monkeypatch.setattr("opspo.evaluate.SLICE", 1000)
    learner = make_learner(small_config("own"), make("jax", ends=False, episode_limit=0))
    evaluator = make_evaluator(
        learner.environment, learner.team, episodes=2, greedy=True, episode_limit=2**30
    )
    actor = learner.init(0).actor
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 4)
    begin = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            evaluator(actor, 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begin < 60


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


# ------------------------------------------------------------------------------------ seeds


def first_looks(environment, seed):
    """What 16 environments of an evaluation begin with, a row each."""
    if hasattr(environment, "open"):
        batch = environment.open(16, seed)
        try:
            return np.asarray(batch.reset().state)
        finally:
            batch.close()
    from opspo.evaluate import episode_keys

    keys = jax.vmap(lambda i: episode_keys(seed, i)[0])(jnp.arange(16))
    return np.asarray(jax.vmap(environment.reset)(keys)[1].state)


@pytest.mark.parametrize(
    "env",
    [
        "smax/3m",
        "jaxmarl/MPE_simple_spread_v3",
        "mamujoco/Hopper-3x1",
        "mamujoco/HalfCheetah-6x1",
        "pettingzoo/mpe2.simple_spread_v3",
    ],
)
def test_neighbouring_seeds_share_no_episodes(env):
    environment = make_env(env)
    seen = [first_looks(environment, seed) for seed in (0, 1, 2)]
    np.testing.assert_array_equal(seen[0], first_looks(environment, 0))
    rows = {row.tobytes() for looks in seen for row in looks}
    assert len(rows) == 3 * 16


def test_seeds_are_spread():
    drawn = [seed for start in range(50) for seed in spread(start, 50)]
    assert len(set(drawn)) == 2500
    assert 0 <= min(drawn) <= max(drawn) < 2**31
    assert spread(7, 3) == spread(7, 5)[:3] == spread(7, 3)


# ------------------------------------------------------------------------- environments that raise


def config_of(tmp_path, **evaluation):
    config = small_config("own", "mappo", epochs=1)
    return dataclasses.replace(
        config,
        run_dir=str(tmp_path / "run"),
        evaluation=EvaluationConfig(**{"every_steps": 0, "final_episodes": 2} | evaluation),
    )


def raises_and_goes_on(environment, config, iteration, words):
    """Train into the fault, look at what is there, and go on to the end."""
    with pytest.raises(TrainingError) as caught:
        opspo.train(config, environment=environment)
    said = str(caught.value)
    for word in (*words, "opspo.resume("):
        assert word in said, said
    assert "site-packages/jax" not in said
    assert "opspo/src" not in said
    assert "/src/opspo/" not in said
    saved = [int(p.name) for p in (config.folder / "checkpoints").iterdir() if p.name.isdigit()]
    assert max(saved) == iteration
    result = opspo.resume(config.folder, environment=environment)
    rows = [json.loads(line) for line in (config.folder / "metrics.jsonl").open()]
    assert [row["iteration"] for row in rows] == list(range(1, 9))
    assert result.evaluation.returns == (5, 5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("raises", "evaluation", "iteration"),
    [
        ({"open": 0}, {}, 0),
        ({"reset": 0}, {}, 0),
        ({"step": 0}, {}, 0),
        ({"step": 16 * 3 + 5}, {}, 3),
        ({"step": 16 * 2 + 3}, {"every_steps": 512, "episodes": 2}, 2),  # in an evaluation
        ({"step": 16 * 8 + 2}, {}, 8),  # in the last one
        ({"open": 1}, {}, 8),
    ],
)
def test_what_a_host_environment_raises_loses_nothing(raises, evaluation, iteration, tmp_path):
    environment = OnHost(Counting(), raises)
    words = ("ZeroDivisionError: the author's fault", "test_entry.py", "in count", "is saved")
    raises_and_goes_on(environment, config_of(tmp_path, **evaluation), iteration, words)


def test_what_close_raises_is_only_a_warning(tmp_path):
    environment = OnHost(Counting(), {"close": 0})
    with pytest.warns(UserWarning, match="raised when closed: ZeroDivisionError"):
        result = opspo.train(config_of(tmp_path), environment=environment)
    assert result.evaluation.returns == (5, 5)


class Callback(Counting):
    """A JAX environment that asks Python at each step, which raises at one of them."""

    def __init__(self, at):
        super().__init__()
        self.left = at

    def ask(self, t):
        self.left -= 1
        if self.left == 0:
            raise ZeroDivisionError("the author's fault in a callback")
        return np.float32(1)

    def step(self, key, state, action):
        state, step = super().step(key, state, action)
        pay = jax.pure_callback(
            self.ask, jax.ShapeDtypeStruct((), jnp.float32), state, vmap_method="sequential"
        )
        return state, step.replace(reward=pay)


@pytest.mark.slow
@pytest.mark.parametrize(("at", "iteration"), [(1, 0), (256 * 3 + 100, 3), (256 * 8 + 3, 8)])
def test_what_a_callback_of_a_jax_environment_raises_loses_nothing(at, iteration, tmp_path):
    words = ("ZeroDivisionError: the author's fault in a callback", "in ask", "is saved")
    raises_and_goes_on(Callback(at), config_of(tmp_path), iteration, words)


class Parallel:
    """A PettingZoo environment that raises at a step of its life."""

    metadata = {"name": "parallel"}  # noqa: RUF012
    possible_agents = ("left", "right")

    def __init__(self, at):
        self.at = at

    def observation_space(self, agent):
        return gymnasium.spaces.Box(-1, 1, (4,))

    def action_space(self, agent):
        return gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.t = list(self.possible_agents), 0
        return self.all(np.zeros(4, np.float32)), self.all({})

    def step(self, actions):
        self.t += 1
        self.at[0] -= 1
        if self.at[0] == 0:
            raise KeyError("the author's fault in PettingZoo")
        end = self.t == LIMIT
        answer = (
            self.all(np.zeros(4, np.float32)),
            self.all(1.0),
            self.all(end),
            self.all(False),
            self.all({}),
        )
        if end:
            self.agents = []
        return answer

    def all(self, value):
        return dict.fromkeys(self.possible_agents, value)

    def close(self):
        pass


@pytest.mark.slow
def test_what_a_pettingzoo_environment_raises_loses_nothing(tmp_path):
    at = [10**9]
    environment = from_pettingzoo(lambda: Parallel(at))
    at[0] = 256 * 2 + 100
    words = ('KeyError: "the author\'s fault in PettingZoo"', "test_entry.py", "is saved")
    raises_and_goes_on(environment, config_of(tmp_path), 2, words)


def test_only_the_authors_frames_are_told():
    batch = entered(OnHost(Counting(), {"step": 1}), agent_id=False).open(2, 0)
    batch.reset()
    batch.step(np.zeros((2, 2), int))
    with pytest.raises(EngineError) as caught:
        batch.step(np.zeros((2, 2), int))
    lines = str(caught.value).splitlines()
    assert lines[0] == "The environment raised at step 1."
    assert sum('File "' in line for line in lines) == 2  # step, count
    assert lines[-1] == "ZeroDivisionError: the author's fault at step"


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
