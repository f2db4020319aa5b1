"""Healing, flying, and a side that has only medivacs left: MMM2 on SMAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from opspo.environments import make_env

KEY = jax.random.PRNGKey(0)
# allies 0 to 9, enemies 10 to 21, each side marauders, marines, one medivac
MARAUDER, MARINE, MEDIVAC = 0, 8, 9
ENEMY_MARAUDER, ENEMY_MARINE, ENEMY_MEDIVAC = 10, 20, 21
FULL = 45.0  # a marine's health
DOSE = 12.6 / 2  # an environment step is half a second
STOP, ATTACK = 4, 5


@pytest.fixture(scope="module")
def env():
    return make_env("smax/MMM2")


@pytest.fixture(scope="module")
def engine(env):
    return env._env._env


@pytest.fixture(scope="module")
def start(env):
    """Both sides in a column each, two apart, out of one another's sight."""
    state, _ = env.reset(KEY)
    column = [(4.0, 3.0 + 2 * i) for i in range(10)] + [(28.0, 3.0 + 2 * i) for i in range(12)]
    return state.replace(state=state.state.replace(unit_positions=jnp.array(column)))


@pytest.fixture(scope="module")
def step(env):
    return jax.jit(env.step)


@pytest.fixture(scope="module")
def battles(env):
    """Three episodes of random play, and the same again: observations, steps, engine states."""

    def one(carry, key):
        state, seen = carry
        act_key, step_key = jax.random.split(key)
        logits = jnp.where(seen.available_actions, 0.0, -1e9)
        state, out = env.step(step_key, state, jax.random.categorical(act_key, logits))
        return (state, out.observation), (out, state.state)

    def battle(key):
        return jax.lax.scan(one, env.reset(key), jax.random.split(key, env.spec.episode_limit))[1]

    play = jax.jit(jax.vmap(battle))
    keys = jax.random.split(KEY, 3)
    return play(keys), play(keys)


def changed(state, positions=(), health=(), dead=()):
    """`state` with these units moved, hurt or gone."""
    units = state.state
    for unit, place in dict(positions).items():
        units = units.replace(unit_positions=units.unit_positions.at[unit].set(jnp.array(place)))
    for unit, value in [*dict(health).items(), *((unit, 0.0) for unit in dead)]:
        units = units.replace(unit_health=units.unit_health.at[unit].set(value))
    return state.replace(state=units.replace(unit_alive=units.unit_health > 0))


def acts(**by_unit):
    """Everybody stops but these, as `unit_9=5`."""
    actions = np.full(10, STOP)
    for unit, action in by_unit.items():
        actions[int(unit.removeprefix("unit_"))] = action
    return jnp.array(actions)


def test_sides_are_smacs(engine):
    names = [engine.unit_type_names[i] for i in engine.scenario.tolist()]
    assert names[:10] == ["marauder"] * 2 + ["marine"] * 7 + ["medivac"]
    assert names[10:] == ["marauder"] * 3 + ["marine"] * 8 + ["medivac"]


@pytest.mark.parametrize(("before", "after"), [(20.0, 20.0 + DOSE), (FULL - 1, FULL)])
def test_healing_adds_its_dose_up_to_full_health_and_pays_nothing(start, step, before, after):
    state = changed(start, health={MARINE: before})
    new, out = step(KEY, state, acts(unit_9=ATTACK + MARINE))
    assert new.state.unit_health[MARINE] == pytest.approx(after)
    assert out.reward == 0


def test_the_enemys_healing_is_not_rewarded(start, step):
    new, out = step(KEY, changed(start, health={ENEMY_MARINE: 20.0}), acts())
    assert new.state.unit_health[ENEMY_MARINE] == pytest.approx(20.0 + DOSE)
    assert out.reward == pytest.approx(-DOSE / FULL / 12)


def test_healing_does_not_stack(start, step):
    """Two medivacs, one patient between them."""
    units = start.state.replace(unit_types=start.state.unit_types.at[7].set(6))
    state = changed(start.replace(state=units), health={MARINE: 20.0})
    new, _ = step(KEY, state, acts(unit_9=ATTACK + MARINE, unit_7=ATTACK + MARINE))
    assert new.state.unit_health[MARINE] == pytest.approx(20.0 + DOSE)


def test_the_dead_and_those_out_of_range_are_not_healed(start, step):
    state = changed(start, health={6: 20.0}, dead=[MARINE])
    for patient in (6, MARINE):
        new, _ = step(KEY, state, acts(unit_9=ATTACK + patient))
        assert new.state.unit_health[6] == 20
        assert not new.state.unit_alive[MARINE]


def test_whom_a_shot_kills_is_not_brought_back(start, step):
    near_the_marine = {ENEMY_MARINE: (8.0, 19.0)}
    state = changed(start, near_the_marine, health={MARINE: 9.0})  # one shot
    new, _ = step(KEY, state, acts(unit_9=ATTACK + MARINE))
    assert new.state.unit_health[MARINE] == 0
    assert not new.state.unit_alive[MARINE]


def test_marines_hit_a_medivac_and_marauders_do_not(env, start, step):
    here = {MARAUDER: (16.0, 15.0), MARINE: (16.0, 17.0), ENEMY_MEDIVAC: (18.0, 16.0)}
    state = changed(start, here)
    shoot = ATTACK + ENEMY_MEDIVAC - 10
    masks = env._env.get_avail_actions(state)
    assert masks[f"ally_{MARINE}"][shoot]
    assert not masks[f"ally_{MARAUDER}"][shoot]
    new, out = step(KEY, state, acts(unit_0=shoot))
    assert new.state.unit_health[ENEMY_MEDIVAC] == 150
    assert out.reward == 0
    new, out = step(KEY, state, acts(unit_8=shoot))
    assert new.state.unit_health[ENEMY_MEDIVAC] == 150 - 9
    assert out.reward == pytest.approx(9 / 150 / 12)


def test_the_enemys_marauders_look_past_a_medivac(start, step):
    """The medivac is nearer than the marine; only the latter can be hit."""
    here = {MEDIVAC: (16.0, 16.0), MARINE: (13.0, 16.0), ENEMY_MARAUDER: (18.0, 16.0)}
    new, _ = step(KEY, changed(start, here), acts())
    assert new.state.unit_health[MEDIVAC] == 150
    assert new.state.unit_health[MARINE] == FULL - 10


def test_attack_actions_of_a_medivac_address_the_living_in_range(env, engine, start):
    """Hurt or not, as in SMAC; never itself or another flyer; whom they mean is whom they see."""
    units = start.state.replace(unit_types=start.state.unit_types.at[1].set(6))
    near = {0: (4.0, 18.0), 1: (5.0, 20.0), 2: (3.0, 22.0), 3: (4.0, 25.5)}
    state = changed(start.replace(state=units), near, dead=[2])
    mask = np.asarray(env._env.get_avail_actions(state)[f"ally_{MEDIVAC}"])
    assert set(np.flatnonzero(mask[ATTACK:])) == {0, MARINE}
    assert mask[:ATTACK].all()
    enemy = np.asarray(engine.get_avail_actions(state.state)[f"enemy_{ENEMY_MEDIVAC - 10}"])
    assert set(np.flatnonzero(enemy[ATTACK:])) == {1}  # the last but one, counted from the last


def test_without_medivacs_it_is_jaxmarls_engine():
    """The same battle, rewards, end and masks."""
    from jaxmarl.environments.smax import HeuristicEnemySMAX, Scenario

    from opspo.environments.medivac import MedivacEnemySMAX, _unit_types

    types = jnp.array([1, 0, 0, 1, 0, 2, 3], jnp.uint8)
    scenario = Scenario(types, 3, 4, False, False)

    def battle(engine):
        def one(state, key):
            act_key, step_key = jax.random.split(key)
            masks = engine.get_avail_actions(state)
            mask = jnp.stack([masks[agent] for agent in engine.agents])
            logits = jnp.where(mask > 0, jnp.arange(9.0), -1e9)  # they shoot if they can
            action = jax.random.categorical(act_key, logits)
            actions = dict(zip(engine.agents, action, strict=True))
            _, state, reward, done, _ = engine.step_env(step_key, state, actions)
            return state, (state, reward, done, mask)

        return jax.lax.scan(one, engine.reset(KEY)[1], jax.random.split(KEY, 40))[1]

    theirs = HeuristicEnemySMAX(scenario=scenario, **_unit_types())
    both = [jax.jit(battle, static_argnums=0)(e) for e in (MedivacEnemySMAX(scenario), theirs)]
    assert both[0][2]["__all__"].any()
    for ours, other in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-5)


def test_a_medivac_flies_over_others(engine, start):
    over = {MEDIVAC: start.state.unit_positions[MARINE] + 0.1}
    state = changed(start, over).state
    after = engine._push_units_away(state)
    np.testing.assert_array_equal(after.unit_positions, state.unit_positions)
    np.testing.assert_array_equal(after.unit_alive, state.unit_alive)
    crowded = changed(start, {7: start.state.unit_positions[MARINE] + 0.1}).state
    assert (engine._push_units_away(crowded).unit_positions != crowded.unit_positions).any()


@pytest.mark.parametrize(
    ("gone", "win"),
    [(range(10, 21), True), (range(9), False), ([*range(9), *range(10, 21)], False)],
    ids=["enemies", "allies", "both"],
)
def test_a_side_with_only_a_medivac_left_has_lost(env, start, step, gone, win):
    new, out = step(KEY, changed(start, dead=gone), acts())
    assert new.state.unit_alive[jnp.array([MEDIVAC, ENEMY_MEDIVAC])].all()
    assert out.terminated and not out.truncated
    assert out.win == win
    assert out.reward == (1.0 if win else 0.0)
    assert env._env.is_terminal(new)


def test_losing_the_medivac_is_not_the_end(start, step):
    _, out = step(KEY, changed(start, dead=[MEDIVAC, ENEMY_MEDIVAC]), acts())
    assert not out.terminated and not out.win


def test_the_enemys_medivac_heals_the_worst_hurt_and_goes_where_it_is_needed(start, step):
    near = {19: (26.0, 25.0)}
    new, _ = step(KEY, changed(start, near, health={19: 30.0, ENEMY_MARINE: 20.0}), acts())
    assert new.state.unit_health[jnp.array([19, ENEMY_MARINE])] == pytest.approx([30, 20 + DOSE])

    def moved(state):
        new, _ = step(KEY, state, acts())
        return (new.state.unit_positions - state.state.unit_positions)[ENEMY_MEDIVAC]

    flight = 3.5 / 2
    hurt_in_the_west = changed(start, {19: (22.0, 25.0)}, health={19: 20.0})
    assert moved(hurt_in_the_west) == pytest.approx([-flight, 0])
    assert moved(start) == pytest.approx([0, -flight])  # the army stands in the south
    above_the_army = changed(start, {ENEMY_MEDIVAC: (28.0, 15.0)})
    assert moved(above_the_army) == pytest.approx([0, 0])


def test_random_play(env, battles):
    """Bounded, finite and repeatable; nobody beyond full health; the dead see and do nothing."""
    (out, units), again = battles
    for first, second in zip(jax.tree.leaves((out, units)), jax.tree.leaves(again), strict=True):
        assert np.isfinite(first).all()
        np.testing.assert_array_equal(first, second)
    seen, spec = out.observation, env.spec
    assert seen.observation.shape == (3, 101, spec.num_agents, spec.observation_size)
    assert seen.available_actions.shape == (3, 101, spec.num_agents, spec.num_actions)
    assert seen.state.shape == (3, 101, spec.state_size)
    assert np.abs(seen.state).max() <= 1.0
    assert (out.terminated | out.truncated).any(axis=1).all()
    full = np.array([125.0] * 2 + [45.0] * 7 + [150.0] + [125.0] * 3 + [45.0] * 8 + [150.0])
    assert (units.unit_health <= full).all()
    dead = ~np.asarray(seen.alive)
    assert dead.any() and not dead.all()
    assert (np.asarray(seen.observation)[dead] == 0).all()
    assert (np.asarray(seen.available_actions)[dead] == (np.arange(17) == STOP)).all()


def test_the_enemy_uses_its_medivac_in_battle(battles):
    (out, units), _ = battles
    going_on = ~np.asarray(out.terminated)[:, 1:]
    rises = np.diff(np.asarray(units.unit_health)[:, :, 10:], axis=1) > 0
    assert (rises.any(axis=-1) & going_on).any(axis=1).all()  # in every battle
