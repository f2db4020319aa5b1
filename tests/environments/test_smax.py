"""The adapter against the real SMAX engine."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from opspo.environments import make_env
from opspo.environments.tasks import SMAX_MAPS


@pytest.fixture(scope="module")
def env():
    return make_env("smax/3m")


@pytest.fixture(scope="module")
def step(env):
    return jax.jit(env.step)


KEY = jax.random.PRNGKey(0)
STOP = jnp.full(3, 4)


def with_units(state, **fields):
    return state.replace(state=state.state.replace(**fields))


PAPER = [
    *("8m_vs_9m", "5m_vs_6m", "3s5z", "10m_vs_11m", "MMM2", "3s5z_vs_3s6z", "27m_vs_30m"),
    *("6h_vs_8z", "corridor"),
]


def test_the_list_of_maps_is_the_engines_and_ours():
    from jaxmarl.environments.smax.smax_env import MAP_NAME_TO_SCENARIO

    for name in SMAX_MAPS:
        make_env(f"smax/{name}")
    ours = {"8m_vs_9m", "corridor", "MMM2"}
    assert set(SMAX_MAPS) == set(MAP_NAME_TO_SCENARIO) | ours
    assert not ours & set(MAP_NAME_TO_SCENARIO)  # JaxMARL's list is left alone
    assert set(PAPER) <= set(SMAX_MAPS)


@pytest.mark.parametrize(
    ("name", "allies", "enemies"),
    [("8m_vs_9m", ["marine"] * 8, ["marine"] * 9), ("corridor", ["zealot"] * 6, ["zergling"] * 24)],
)
def test_sides_are_smacs(name, allies, enemies):
    engine = make_env(f"smax/{name}")._env
    names = [engine.unit_type_names[i] for i in engine.scenario.tolist()]
    assert names == allies + enemies
    assert (engine.num_allies, engine.num_enemies) == (len(allies), len(enemies))


@pytest.mark.parametrize("name", ["3m", "2s3z", "smacv2_5_units", *PAPER])
def test_sizes_match_the_spec(name):
    env = make_env(f"smax/{name}")
    _, seen = jax.eval_shape(env.reset, KEY)
    spec = env.spec
    assert seen.observation.shape == (spec.num_agents, spec.observation_size)
    assert seen.state.shape == (spec.state_size,)
    assert seen.available_actions.shape == (spec.num_agents, spec.num_actions)
    assert spec.has_win
    assert spec.agents == tuple(f"ally_{i}" for i in range(spec.num_agents))


def test_random_play_keeps_state_in_unit_range_and_dead_agents_blank(env):
    """Along real battles: bounded state; the dead see zeros, may only stop, and stay dead."""

    def one(carry, key):
        state, seen = carry
        act_key, step_key = jax.random.split(key)
        logits = jnp.where(seen.available_actions, 0.0, -1e9)
        state, out = env.step(step_key, state, jax.random.categorical(act_key, logits))
        return (state, out.observation), out

    def battle(key):
        _, out = jax.lax.scan(one, env.reset(key), jax.random.split(key, 40))
        return out

    out = jax.jit(jax.vmap(battle))(jax.random.split(KEY, 32))
    state = np.asarray(out.observation.state)
    assert np.abs(state).max() <= 1.0
    assert np.asarray(out.observation.available_actions).any(axis=-1).all()
    dead = ~np.asarray(out.observation.alive)
    assert dead.any() and not dead.all()
    assert (np.asarray(out.observation.observation)[dead] == 0).all()
    only_stop = np.eye(env.spec.num_actions, dtype=bool)[4]
    assert (np.asarray(out.observation.available_actions)[dead] == only_stop).all()
    before_the_end = ~np.asarray(out.terminated)[:, :-1]
    came_back = dead[:, :-1] & ~dead[:, 1:]
    assert not came_back[before_the_end].any()


def test_a_unit_pushed_over_the_edge_keeps_the_state_in_range(env):
    state, _ = env.reset(KEY)
    outside = state.state.unit_positions.at[:2].set(jnp.array([[32.4, 5.0], [5.0, -0.4]]))
    world = env._env.get_world_state(with_units(state, unit_positions=outside))
    normalised = env._normalised_state(world)
    assert normalised.min() >= 0 and normalised.max() == 1


def test_win_is_terminated_and_pays_one(env, step):
    state, _ = env.reset(KEY)
    units = state.state
    enemies_gone = units.unit_alive.at[3:].set(False)
    health = units.unit_health.at[3:].set(0.0)
    _, out = step(KEY, with_units(state, unit_alive=enemies_gone, unit_health=health), STOP)
    assert out.win and out.terminated and not out.truncated
    assert out.reward == pytest.approx(1.0)


def test_defeat_and_draw_are_terminated_without_win(env, step):
    state, _ = env.reset(KEY)
    units = state.state
    for gone in (slice(0, 3), slice(0, 6)):
        alive = units.unit_alive.at[gone].set(False)
        health = units.unit_health.at[gone].set(0.0)
        _, out = step(KEY, with_units(state, unit_alive=alive, unit_health=health), STOP)
        assert out.terminated and not out.win and not out.truncated


def test_the_time_limit_truncates(env, step):
    state, _ = env.reset(KEY)
    last = env.spec.episode_limit - 1
    _, out = step(KEY, with_units(state, step=jnp.array(last)), STOP)
    assert out.truncated and not out.terminated and not out.win
    _, out = step(KEY, with_units(state, step=jnp.array(last - 1)), STOP)
    assert not out.truncated


def test_reward_is_the_enemies_health_lost(env, step):
    """One enemy at the brink, all three allies shoot it: a third of its share is paid."""
    state, _ = env.reset(KEY)
    units = state.state
    near = jnp.array([[14.0, 15], [14, 16], [14, 17], [16, 16], [30, 2], [30, 30]])
    shoot_first = jnp.full(3, 5)
    healthy = units.unit_health
    state = with_units(state, unit_positions=near)
    after, out = step(KEY, state, shoot_first)
    lost = (healthy - after.state.unit_health)[3:].sum() / 45.0
    assert lost > 0
    assert out.reward == pytest.approx(float(lost) / 3, rel=1e-5)


def test_the_true_last_observation_is_kept(env, step):
    """`step` shows the battlefield after the last blow, not a new one."""
    state, first = env.reset(KEY)
    last = with_units(state, step=jnp.array(env.spec.episode_limit - 1))
    go_north = jnp.zeros(3, int)
    after, out = step(KEY, last, go_north)
    assert after.state.step == env.spec.episode_limit
    own = slice(-(4 + 6), None)  # health, position, cooldown, type
    before, now = (np.asarray(x.observation)[:, own] for x in (first, out.observation))
    assert (before[:, 1:3] != now[:, 1:3]).any()
    np.testing.assert_allclose(before[:, 1:3], now[:, 1:3], atol=0.2)  # a step, not a new start
