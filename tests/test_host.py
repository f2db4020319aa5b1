"""Training on engines outside of JAX: the same experience, the same learning."""

import dataclasses
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from hosts import OnHost
from small import small_config

from opspo.environments import make_env
from opspo.errors import ConfigError
from opspo.evaluate import make_evaluator
from opspo.rollout import host
from opspo.training.assembly import make_learner
from opspo.training.iteration import ready


def train(environment, config):
    learner = make_learner(config, environment)
    state = jax.jit(learner.init, static_argnums=0)(config.seed)
    rows = []
    with ready(learner, state) as (begun, iterate):
        state = begun
        for _ in range(config.iterations):
            state, metrics = iterate(state)
            rows.append(jax.device_get(metrics))
    return learner, state, rows


@pytest.mark.parametrize(
    ("name", "recurrent"),
    [("credit", True), ("death", False), ("continuous", False), ("coordination", False)],
)
def test_a_probe_on_the_host_is_learnt(name, recurrent):
    environment = OnHost(name)
    config = small_config(f"probe/{name}", recurrent=recurrent)
    learner, state, rows = train(environment, config)
    assert environment.opened[0].closed
    assert not any(rows[-1]["faults"].values())
    evaluator = make_evaluator(environment, learner.team, episodes=40, greedy=True)
    on_host = evaluator(state.actor, 0)
    in_jax = make_evaluator(environment.inner, learner.team, episodes=40, greedy=True)(
        state.actor, 0
    )
    assert len(on_host.returns) == 40
    assert np.mean(on_host.returns) == pytest.approx(np.mean(in_jax.returns), abs=0.15)
    first = rows[0]["episodes"]["episode_return"]
    assert np.mean(on_host.returns) > first + 0.1


def test_a_trajectory_holds_what_the_engine_said():
    environment = OnHost("truncation")
    config = small_config("probe/truncation")
    learner, state, _ = train(environment, dataclasses.replace(config, total_steps=256))
    batch = environment.open(16, 3)
    rollout = host.HostRollout([batch], learner.team, num_steps=16, view=learner.critic.view)
    before = host.start(state.rollout, [batch])
    after, trajectory = rollout.collect(state.actor, before, jax.random.PRNGKey(0))
    done = trajectory.terminated | trajectory.truncated
    assert done.any()
    # an episode begins after each end, and only there
    np.testing.assert_array_equal(trajectory.first[1:], done[:-1])
    assert trajectory.first[0].all()
    np.testing.assert_array_equal(after.first, done[-1])
    # within an episode the successor is the next state; across an end it is not reset
    going = ~done[:-1]
    np.testing.assert_array_equal(trajectory.next_state[:-1][going], trajectory.state[1:][going])
    total = np.zeros(16)
    for t in range(16):
        total = np.where(trajectory.first[t], 0, total) + trajectory.reward[t]
        np.testing.assert_allclose(trajectory.episode_return[t], total, rtol=1e-6)


def in_groups(config, groups):
    return dataclasses.replace(config, rollout=dataclasses.replace(config.rollout, groups=groups))


class Meeting(OnHost):
    """Its groups step only where all of them do at once."""

    def __init__(self, name, groups):
        super().__init__(name)
        self.barrier = threading.Barrier(groups)

    def open(self, num_envs, seed):
        batch = super().open(num_envs, seed)
        alone = batch.step

        def step(action):
            self.barrier.wait(timeout=60)
            return alone(action)

        batch.step = step
        return batch


def test_one_group_decides_while_others_step():
    environment = Meeting("credit", 4)
    _, _, rows = train(environment, in_groups(small_config("probe/credit", "mappo"), 4))
    assert [batch.num_envs for batch in environment.opened] == [4] * 4
    assert all(batch.closed for batch in environment.opened)
    assert rows[-1]["episodes"]["episode_return"] > rows[0]["episodes"]["episode_return"] + 0.1


def rollout_in_groups(environment, groups):
    """Of four steps, with the state to begin from and what else `collect` takes."""
    learner = make_learner(in_groups(small_config("probe/continuous"), 2), environment)
    state = jax.jit(learner.init, static_argnums=0)(0)
    rollout = host.HostRollout(groups, learner.team, num_steps=4, view=learner.critic.view)
    return rollout, state.actor, host.start(state.rollout, groups), state.key


def test_groups_lie_side_by_side():
    environment = OnHost("continuous")
    groups = [environment.open(8, seed) for seed in (5, 6)]
    rollout, actor, before, key = rollout_in_groups(environment, groups)
    after, trajectory = rollout.collect(actor, before, key)
    assert trajectory.reward.shape == (4, 16)
    for part, seed in (slice(8), 5), (slice(8, 16), 6):
        alone = environment.open(8, seed).reset().observation
        np.testing.assert_array_equal(trajectory.observation[0, part], alone)
    assert (trajectory.observation[0, :8] != trajectory.observation[0, 8:]).any()
    last = after.observation.observation
    assert (last[:8] != last[8:]).any()
    further = rollout.collect(actor, after, key)[1]
    np.testing.assert_array_equal(further.observation[0], last)
    np.testing.assert_array_equal(further.first[0], after.first)


def test_groups_draw_by_themselves_and_the_same_each_time():
    """Both begin from the same state, so only what they draw tells them apart."""
    actions = []
    for _ in range(2):
        environment = OnHost("continuous")
        groups = [environment.open(8, 5) for _ in range(2)]
        rollout, *arguments = rollout_in_groups(environment, groups)
        actions.append(rollout.collect(*arguments)[1].action)
    np.testing.assert_array_equal(*actions)
    assert len(np.unique(actions[0])) == actions[0].size


@pytest.mark.parametrize("broken", [0, 1])
def test_a_group_that_breaks_down_stops_the_others(broken):
    environment = OnHost("continuous")
    groups = [environment.open(8, 5) for _ in range(2)]
    rollout, *arguments = rollout_in_groups(environment, groups)
    failed, steps = threading.Event(), []
    steady = groups[1 - broken].step

    def fail(action):
        failed.set()
        raise ZeroDivisionError

    def wait(action):
        assert failed.wait(timeout=60)
        steps.append(action)
        time.sleep(0.5)  # for the other to be done with
        return steady(action)

    groups[broken].step, groups[1 - broken].step = fail, wait
    with pytest.raises(ZeroDivisionError):
        rollout.collect(*arguments)
    assert len(steps) == 1


def test_an_engine_that_does_not_start_closes_the_groups_before():
    class Second(OnHost):
        def open(self, num_envs, seed):
            if self.opened:
                raise FileNotFoundError
            return super().open(num_envs, seed)

    environment = Second("credit")
    with (
        pytest.raises(FileNotFoundError),
        host.opened(environment, 4, groups=2, seed=0),
    ):
        pass
    assert environment.opened[0].closed


def test_groups_are_equal_and_not_for_jax():
    with pytest.raises(ConfigError, match=r"rollout\.groups must be a divisor of .*= 16, but is 3"):
        in_groups(small_config("probe/credit"), 3)
    with pytest.raises(ConfigError, match=r"rollout\.groups must be 1 for probe/credit, but is 2"):
        make_learner(in_groups(small_config("probe/credit"), 2), make_env("probe/credit"))


@pytest.mark.slow
def test_a_team_of_separate_recurrent_networks_comes_into_being():
    """Batched QR decompositions side by side hang jaxlib 0.10.2 on two cores, every time."""
    program = (
        "import jax; from opspo.presets import preset_config; "
        "from opspo.environments import make_env; "
        "from opspo.training.assembly import make_learner; "
        "config = preset_config('paper', 'mamujoco/Hopper-3x1', 'opspo'); "
        "learner = make_learner(config, make_env(config.env)); "
        "jax.block_until_ready(jax.jit(learner.init)(0))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=200)
