"""The adapter against JaxMARL's own engines."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import run, small_config

from opspo.environments import make_env
from opspo.environments.jaxmarl import KINDS, NOT_HERE, JaxMARL
from opspo.environments.tasks import JAXMARL_TASKS
from opspo.errors import ConfigError

KEY = jax.random.PRNGKey(0)
SPEAKER = "MPE_simple_speaker_listener_v4"
CONTINUOUS = f"{SPEAKER}:action_type=Continuous"
SHORT = {"overcooked": "overcooked:max_steps=7", "overcooked_v2": "overcooked_v2:max_steps=7"}
TRIED = [*(SHORT.get(task, task) for task in JAXMARL_TASKS), CONTINUOUS]


def engines_actions(env, action):
    """What the engine is told, written out anew; the boxes here are all [0, 1]."""
    told = {}
    for agent in env.engine.agents:
        space = env.engine.action_space(agent)
        if agent not in env.agents:
            told[agent] = jnp.zeros(space.shape)
            continue
        own = action[env.agents.index(agent)]
        told[agent] = own if hasattr(space, "n") else 0.5 + own[: space.shape[0]] / 2
    return told


def play(name, steps=30, num_envs=2):
    """Random play in a scan under jit and vmap: our steps, and the engine's own beside them."""
    env = make_env(f"jaxmarl/{name}")
    spec = env.spec

    def act(key, seen):
        if not spec.num_actions:
            shape = (spec.num_agents, spec.action_size)
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        return jax.random.categorical(key, jnp.where(seen.available_actions, 0.0, -1e9))

    def one(carry, key):
        state, seen = carry
        act_key, step_key = jax.random.split(key)
        action = act(act_key, seen)
        theirs = env.engine.step_env(step_key, state, engines_actions(env, action))
        state, step = env.step(step_key, state, action)
        return (state, step.observation), (step, theirs[0], theirs[2], theirs[3])

    def episode(key):
        return jax.lax.scan(one, env.reset(key), jax.random.split(key, steps))[1]

    keys = jax.random.split(KEY, num_envs)
    compiled = jax.jit(jax.vmap(episode))
    return env, *jax.device_get(compiled(keys))


@pytest.mark.parametrize("name", TRIED)
def test_a_random_trajectory_is_the_engines_own(name):
    env, step, seen, rewards, dones = play(name)
    spec, ours = env.spec, step.observation
    mean = np.mean([rewards[agent] for agent in env.agents], axis=0)
    np.testing.assert_allclose(step.reward, mean, rtol=1e-5, atol=1e-6)
    for i, agent in enumerate(env.agents):
        flat = seen[agent].reshape(*seen[agent].shape[:2], -1)
        np.testing.assert_allclose(ours.observation[:, :, i, : flat.shape[2]], flat, rtol=1e-5)
        assert (ours.observation[:, :, i, flat.shape[2] :] == 0).all()
    np.testing.assert_array_equal(step.terminated | step.truncated, dones["__all__"])
    assert ours.observation.shape[2:] == (spec.num_agents, spec.observation_size)
    assert ours.state.shape[2:] == (spec.state_size,)
    assert ours.observation.dtype == ours.state.dtype == step.reward.dtype == np.float32
    assert ours.alive.all() and not step.win.any()
    if spec.num_actions:
        assert ours.available_actions.shape[2:] == (spec.num_agents, spec.num_actions)
        assert ours.available_actions.any(-1).all()
    else:
        assert ours.available_actions is None
    if spec.episode_limit and name != "switch_riddle":  # these end with time alone
        assert not step.terminated.any()
        assert (step.truncated.argmax(1) == spec.episode_limit - 1).all()
    if name == "hanabi":
        assert step.terminated.any() and not step.truncated.any()


def test_unequal_observations_and_actions_are_padded():
    env = make_env(f"jaxmarl/{SPEAKER}")
    spec = env.spec
    assert (spec.num_agents, spec.observation_size, spec.num_actions) == (2, 11, 5)
    assert spec.state_size == 3 + 11
    _, seen = env.reset(KEY)
    assert seen.available_actions.tolist() == [[True] * 3 + [False] * 2, [True] * 5]
    np.testing.assert_array_equal(seen.state[:3], seen.observation[0, :3])
    np.testing.assert_array_equal(seen.state[3:], seen.observation[1])
    assert make_env(f"jaxmarl/{CONTINUOUS}").spec.action_size == 5


def test_the_specification_names_the_agents_and_says_each_ones_own_sizes():
    spec = make_env(f"jaxmarl/{SPEAKER}").spec
    assert spec.agents == ("speaker_0", "listener_0")
    assert (spec.num_actions, spec.action_counts, spec.action_size) == (5, (3, 5), 0)
    spec = make_env(f"jaxmarl/{CONTINUOUS}").spec
    assert (spec.num_actions, spec.action_size, spec.action_sizes) == (0, 5, (3, 5))
    spec = make_env("jaxmarl/MPE_simple_facmac_3a_v1").spec
    assert spec.agents == ("adversary_0", "adversary_1", "adversary_2")
    assert (spec.action_counts, spec.action_sizes) == ((), ())


class Toy:
    """An engine with one agent for each space, which keeps what it is told and pays nothing."""

    max_steps = 3

    def __init__(self, **spaces):
        self.spaces, self.agents, self.told = spaces, list(spaces), []

    def action_space(self, agent):
        return self.spaces[agent]

    def reset(self, key):
        return {agent: jnp.zeros((2, 2)) for agent in self.agents}, jnp.array(0)

    def step_env(self, key, state, actions):
        self.told.append(actions)
        rewards, done = dict.fromkeys(self.agents, jnp.array(0.0)), {"__all__": jnp.array(False)}
        return self.reset(key)[0], state, rewards, done, {}


def toy(monkeypatch, **spaces):
    monkeypatch.setattr("opspo.environments.jaxmarl._make_engine", lambda *_: Toy(**spaces))
    return JaxMARL("MPE_simple_v3")


def test_several_decisions_at_one_step(monkeypatch):
    from jaxmarl.environments.spaces import Discrete, MultiDiscrete

    env = toy(monkeypatch, a=MultiDiscrete([2, 3]), b=Discrete(4))
    spec = env.spec
    assert (spec.num_actions, spec.action_size, spec.action_sizes) == (4, 2, (2, 1))
    assert spec.decision_counts == ((2, 3), (4,))
    assert (spec.observation_size, spec.action_counts) == (4, ())
    state, seen = env.reset(KEY)
    rest = [True, False, False, False]
    np.testing.assert_array_equal(
        seen.available_actions, [[[1, 1, 0, 0], [1, 1, 1, 0]], [[1, 1, 1, 1], rest]]
    )
    env.step(KEY, state, jnp.array([[1, 2], [3, 0]]))
    told = env.engine.told[0]
    assert (told["a"].tolist(), told["b"].shape, int(told["b"])) == ([1, 2], (), 3)


def test_numbers_of_any_shape_and_range(monkeypatch):
    from jaxmarl.environments.spaces import Box

    wide, bounds = Box(-2.0, 2.0, (2, 2)), jnp.array([2.0, -jnp.inf])
    env = toy(monkeypatch, a=wide, b=Box(bounds, jnp.array([jnp.inf, jnp.inf]), (2,)))
    spec = env.spec
    assert (spec.num_actions, spec.action_size, spec.action_sizes) == (0, 4, (4, 2))
    env.step(KEY, env.reset(KEY)[0], jnp.array([[-1, 0, 0.5, 7], [-1, 0.5, 9, 9]]))
    told = {agent: action.tolist() for agent, action in env.engine.told[0].items()}
    assert told == {"a": [[-2, 0], [1, 2]], "b": [2, 0.5]}


def test_a_space_that_is_neither_choices_nor_numbers_names_the_agent(monkeypatch):
    from jaxmarl.environments.spaces import Discrete, Tuple

    class Strange:
        n, shape = 3, ()

    for space in (Tuple([Discrete(2)]), Strange()):
        with pytest.raises(ConfigError, match=f"agent 'b' acts in a {type(space).__name__}"):
            toy(monkeypatch, a=Discrete(2), b=space)


def test_choices_beside_numbers_are_refused(monkeypatch):
    from jaxmarl.environments.spaces import Box, Discrete

    with pytest.raises(ConfigError, match="some agents have discrete actions, others continuous"):
        toy(monkeypatch, a=Discrete(2), b=Box(0.0, 1.0, (1,)))


def test_continuous_actions_fill_the_box_and_no_more():
    env = JaxMARL("MPE_simple_v3:action_type=Continuous")
    told = []
    env.engine.step_env = lambda key, state, actions: (
        told.append(actions) or engine(key, state, actions)
    )
    engine = type(env.engine).step_env.__get__(env.engine)
    state, _ = env.reset(KEY)
    env.step(KEY, state, jnp.array([[-1.0, 1.0, 0.0, -7.0, 7.0]]))
    assert told[0]["agent_0"].tolist() == [0.0, 1.0, 0.5, 0.0, 1.0]


def test_in_hanabi_only_whose_turn_it_is_may_act():
    env = make_env("jaxmarl/hanabi")
    _, seen = env.reset(KEY)
    first, second = np.asarray(seen.available_actions)
    assert not first[-1] and first.sum() > 1
    assert np.flatnonzero(second).tolist() == [env.spec.num_actions - 1]


def test_the_prey_is_the_engines_and_not_of_the_team():
    env = make_env("jaxmarl/MPE_simple_facmac_3a_v1")
    assert env.agents == ["adversary_0", "adversary_1", "adversary_2"]
    _, state = env.engine.reset(KEY)
    everything = env.engine.get_world_state(state)
    assert env.spec.state_size == sum(x.size for x in everything.values())
    assert env.spec.state_size > sum(everything[a].size for a in env.agents)


def test_who_tells_ends_the_riddle_and_who_does_not_is_cut():
    env = make_env("jaxmarl/switch_riddle")
    step = jax.jit(env.step)
    nothing, tell = jnp.zeros(3, int), jnp.full(3, 2)
    for last, ends in ((nothing, (False, True)), (tell, (True, False))):
        state, _ = env.reset(KEY)
        for t in range(env.spec.episode_limit):
            final = t == env.spec.episode_limit - 1
            state, out = step(KEY, state, last if final else nothing)
            assert (bool(out.terminated), bool(out.truncated)) == (ends if final else (False,) * 2)
    state, _ = env.reset(KEY)
    _, out = step(KEY, state, tell)
    assert out.terminated and out.reward == -1


def test_options_reach_the_engine():
    name = "MPE_simple_spread_v3:num_agents=5,num_landmarks=2,local_ratio=0.25,max_steps=9"
    env = make_env(f"jaxmarl/{name}")
    assert env.spec.name == f"jaxmarl/{name}"
    assert (env.spec.num_agents, env.engine.num_landmarks, env.engine.local_ratio) == (5, 2, 0.25)
    assert env.spec.episode_limit == 10
    from jaxmarl.environments import overcooked_layouts

    ring = make_env("jaxmarl/overcooked:layout=coord_ring").engine.layout
    assert ring is overcooked_layouts["coord_ring"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("MPE_simple_tag_v3", "opponents"),
        ("storm", "each agent for itself"),
        ("jaxnav", "its own goal and reward"),
        ("HeuristicEnemySMAX", "smax/3m"),
        ("MPE_simple_spread_v2", "Did you mean 'MPE_simple_spread_v3'"),
        ("overcooked:size=3", "no option 'size'. Its options: layout, max_steps"),
        ("MPE_simple_facmac_3a_v1:max_steps=3", "Its options: none"),
        ("overcooked:max_steps=long", "max_steps must be int, but is 'long'"),
        ("overcooked:layout=kitchen", "There are: .*cramped_room"),
        ("overcooked_v2:layout=kitchen", "cramped_room"),
        ("MPE_simple_spread_v3:local_ratio=7", "between 0.0 and 1.0"),
        ("MPE_simple_v3:action_type=continuous", "not supported"),
    ],
)
def test_a_wrong_id_says_what_is_wrong(name, says):
    with pytest.raises(ConfigError, match=says):
        make_env(f"jaxmarl/{name}")


def test_every_id_of_jaxmarl_is_taken_or_refused():
    from jaxmarl import registered_envs

    known = {name for name in registered_envs if not name.startswith("JaxRobotarium")}
    assert known == set(KINDS) | set(NOT_HERE)
    assert not set(KINDS) & set(NOT_HERE)


def test_without_brax_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("jaxmarl.registration.MABRAX_AVAILABLE", False)
    with pytest.raises(ConfigError, match=r"pip install 'jaxmarl\[mabrax\]==0.2.0'"):
        make_env("jaxmarl/hopper_3x1")


@pytest.mark.slow
def test_a_robot_falls_or_runs_out_of_time():
    pytest.importorskip("brax")
    env = JaxMARL("hopper_3x1:episode_length=3,backend=generalized")
    spec = env.spec
    assert (spec.num_agents, spec.observation_size, spec.action_size) == (3, 9, 1)
    assert (spec.state_size, spec.episode_limit) == (11, 3)
    state, seen = jax.jit(env.reset)(KEY)
    np.testing.assert_array_equal(seen.state, state.obs)
    step = jax.jit(env.step)
    ends = []
    for _ in range(3):
        before = state
        state, out = step(KEY, state, jnp.zeros((3, 1)))
        ends.append((bool(out.terminated), bool(out.truncated)))
    assert ends == [(False, False), (False, False), (False, True)]
    np.testing.assert_array_equal(out.observation.state, state.obs)
    assert not np.allclose(state.obs, seen.state)  # not reset: the true last one
    pose = before.pipeline_state
    lying = before.replace(pipeline_state=pose.replace(q=pose.q.at[1].set(-1.0)))
    _, out = step(KEY, lying, jnp.zeros((3, 1)))
    assert out.terminated and not out.truncated
    assert JaxMARL("halfcheetah_6x1").spec.state_size == 18  # with the position, as indexed
    with pytest.raises(ConfigError, match=r"mamujoco/Humanoid-9\|8"):
        JaxMARL("humanoid_9|8")


@pytest.mark.slow
def test_it_trains():
    _, history = run(small_config(f"jaxmarl/{SPEAKER}", "mappo"), 2)
    episodes = history[1]["episodes"]
    assert (episodes["episodes"], episodes["episode_length"]) == (16, 26)


@pytest.mark.slow
def test_loading_jaxmarl_prints_nothing_and_leaves_the_output_as_it_was():
    code = (
        "import sys; from opspo.environments import make_env; make_env('jaxmarl/switch_riddle');"
        "print('heard'); print('twice', file=sys.__stdout__)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "heard\ntwice\n"
