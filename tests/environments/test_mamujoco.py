"""Robots on the real engine, against Gymnasium-Robotics where that has the same."""

import warnings

import numpy as np
import pytest

from opspo.environments import check_id, environment_ids, make_env
from opspo.environments.mamujoco import MAMuJoCo, factorise, local_indices, parse
from opspo.errors import ConfigError
from opspo.rollout.host import opened

PAPER = [name for name in environment_ids() if name.startswith("mamujoco/")]


def roll(environment, steps, *, num_envs=3, seed=0, scale=1.0):
    """Steps [(seen, action, step, following)] under random actions."""
    rng, batch = np.random.default_rng(seed), environment.open(num_envs, seed)
    shape = (num_envs, environment.spec.num_agents, environment.spec.action_size)
    seen, out = batch.reset(), []
    for _ in range(steps):
        action = (scale * rng.uniform(-1, 1, shape)).astype(np.float32)
        step, following = batch.step(action)
        out.append((seen, action, step, following))
        seen = following
    batch.close()
    return out


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_tasks_step(name):
    environment = make_env(name)
    spec = environment.spec
    agents = {"8x1": 8, "6x1": 6, "3x1": 3, "9|8": 2}[name.split("-")[1]]
    assert spec.num_agents == agents
    sizes = {"Ant": 111, "HalfCheetah": 17, "Hopper": 11, "Walker2d": 17}
    assert spec.state_size == sizes.get(environment.robot.task, 376)
    assert spec.observation_size == spec.state_size + agents
    assert spec.agents == tuple(f"agent_{i}" for i in range(agents))
    assert spec.action_sizes == ((9, 8) if agents == 2 else ())
    for seen, _, step, _ in roll(environment, 3):
        assert seen.observation.shape == (3, agents, spec.observation_size)
        assert seen.observation.dtype == seen.state.dtype == step.reward.dtype == np.float32
        assert np.isfinite(seen.observation).all()
        assert np.isfinite(step.reward).all()


def test_every_environment_of_every_group_begins_with_an_episode_of_its_own():
    environment = make_env("mamujoco/HalfCheetah-6x1")
    for groups in (1, 2, 4):
        with opened(environment, 4, groups=groups, seed=3) as parts:
            starts = np.concatenate([part.reset().state for part in parts])
        assert len(np.unique(starts, axis=0)) == 4


def test_an_agent_sees_the_whole_robot_and_its_number():
    whole = np.random.default_rng(0).normal(size=(2, 11))
    seen = make_env("mamujoco/Hopper-3x1").observe(whole)
    for i in range(3):
        np.testing.assert_allclose(seen.observation[:, i, :11], whole, rtol=1e-6)
        np.testing.assert_array_equal(seen.observation[:, i, 11:], [np.arange(3) == i] * 2)
    np.testing.assert_allclose(seen.state, whole, rtol=1e-6)


def test_an_end_keeps_the_true_last_observation_and_goes_on_from_a_new_episode():
    environment = make_env("mamujoco/Hopper-3x1:obsk=2")
    steps = roll(environment, 200, num_envs=4)
    ended = [(t, i) for t, row in enumerate(steps) for i in np.flatnonzero(row[2].terminated)]
    assert len(ended) > 4
    for t, i in ended:
        _, _, step, following = steps[t]
        last, new = step.observation.observation[i, 0], following.observation[i, 0]
        assert not step.truncated[i]
        assert np.abs(new).max() < 1.3  # at rest, about the height of 1.25
        assert np.abs(last - new).max() > 0.1
        going = ~(step.terminated | step.truncated)
        np.testing.assert_array_equal(
            step.observation.observation[going], following.observation[going]
        )


def test_the_time_limit_truncates_and_does_not_terminate():
    environment = make_env("mamujoco/HalfCheetah-6x1")
    steps = roll(environment, 1001, num_envs=2)
    for t, (_, _, step, _) in enumerate(steps, start=1):
        assert not step.terminated.any()
        assert step.truncated.all() == (t == environment.spec.episode_limit)


def test_the_same_seed_gives_the_same_episodes_and_another_gives_others():
    environment = make_env("mamujoco/Walker2d-6x1")
    one, same = roll(environment, 20, seed=3), roll(environment, 20, seed=3)
    other = roll(environment, 20, seed=4)
    for (a, _, _, _), (b, _, _, _) in zip(one, same, strict=True):
        np.testing.assert_array_equal(a.observation, b.observation)
    assert np.abs(one[0][0].observation - other[0][0].observation).max() > 1e-6


def test_actions_reach_the_joints_in_the_actuators_range():
    environment = make_env("mamujoco/Humanoid-9|8")
    batch = environment.open(1, 0)
    action = np.zeros((1, 2, 9), np.float32)
    action[0, 0], action[0, 1, :8] = np.linspace(-1, 1, 9), 3.0
    torque = batch._torques(action)[0]
    batch.close()
    assert torque.shape == (17,)
    upper, lower = environment.actuators
    assert len(upper) + len(lower) == 17
    assert not set(upper) & set(lower)
    np.testing.assert_allclose(torque[upper], 0.4 * np.linspace(-1, 1, len(upper)), atol=1e-6)
    np.testing.assert_allclose(torque[lower], 0.4, atol=1e-6)  # 3 counts as the end of the range


@pytest.mark.parametrize(
    "name",
    [
        "HalfCheetah-2x3:obsk=1",
        "HalfCheetah-6x1:obsk=0",
        "Walker2d-2x3:obsk=1",
        "Hopper-3x1:obsk=1",
        "Ant-4x2:obsk=1,v5",
    ],
)
def test_local_observations_are_those_of_gymnasium_robotics(name):
    """Along a real trajectory of theirs."""
    from gymnasium_robotics import mamujoco_v1

    robot = parse(name)
    theirs = mamujoco_v1.parallel_env(robot.task, robot.partition, agent_obsk=robot.obsk)
    seen, _ = theirs.reset(seed=0)
    rng = np.random.default_rng(0)
    indices = local_indices(robot)
    for _ in range(50):
        whole = theirs.state()
        for i, agent in enumerate(theirs.possible_agents):
            # the whole observation of Walker2d and Hopper has its velocities clipped
            local = np.clip(seen[agent], -10, 10)
            np.testing.assert_allclose(np.clip(whole[indices[i]], -10, 10), local, atol=1e-6)
        actions = {a: rng.uniform(-1, 1, theirs.action_space(a).shape) for a in theirs.agents}
        seen, _, terminated, truncated, _ = theirs.step(actions)
        if any(terminated.values()) or any(truncated.values()):
            seen, _ = theirs.reset()
    theirs.close()


def test_envpool_moves_as_gymnasium_does():
    """One step from the same state and action; that is what makes the local views equal."""
    import gymnasium

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = gymnasium.make("HalfCheetah-v5").unwrapped
    environment = make_env("mamujoco/HalfCheetah-6x1")
    batch = environment.open(1, 0)
    batch.reset()
    whole = batch._engine.step(np.zeros((1, 6)))[0][0]
    reference.reset(seed=0)
    reference.set_state(np.concatenate([[0.0], whole[:8]]), whole[8:])
    rng = np.random.default_rng(1)
    for _ in range(20):
        action = rng.uniform(-1, 1, 6)
        ours = batch._engine.step(action[None])[0][0]
        theirs = reference.step(action)[0]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    batch.close()


@pytest.mark.parametrize(
    ("name", "agents"), [("Ant-8x1", 8), ("Ant-2x4", 2), ("Walker2d-3x2", 3), ("Humanoid-17x1", 17)]
)
def test_a_partition_uses_every_joint_once(name, agents):
    parts = factorise(parse(name))["partition"]
    assert len(parts) == agents
    joints = [joint.act_ids for part in parts for joint in part]
    assert sorted(joints) == list(range(len(joints)))


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("Cheetah-6x1", "HalfCheetah"),
        ("HalfCheetah", "<partition>"),
        ("HalfCheetah-6x1:obsk=-1", "obsk=<joints>"),
        ("Ant-8x1:obsk=1", "v5"),
    ],
)
def test_a_wrong_name_says_what_there_is(name, mend):
    with pytest.raises(ConfigError, match=mend):
        check_id(f"mamujoco/{name}")


def test_a_partition_that_does_not_fit_says_how_many_joints_there_are():
    with pytest.raises(ConfigError, match="6 joints"):
        MAMuJoCo("HalfCheetah-5x1")
