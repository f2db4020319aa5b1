"""Training on engines outside of JAX: the same experience, the same learning."""

import dataclasses
import subprocess
import sys

import jax
import numpy as np
import pytest
from hosts import OnHost
from small import small_config

from opspo.evaluate import make_evaluator
from opspo.iteration import ready
from opspo.learner import make_learner


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
    from opspo.rollout import host

    batch = environment.open(16, 3)
    rollout = host.HostRollout(batch, learner.team, num_steps=16, view=learner.critic.view)
    before = host.start(state.rollout, batch)
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


@pytest.mark.slow
def test_a_team_of_separate_recurrent_networks_comes_into_being():
    """Batched QR decompositions side by side hang jaxlib 0.10.2 on two cores, every time."""
    program = (
        "import jax; from opspo.presets import preset_config; "
        "from opspo.environments import make_env; from opspo.learner import make_learner; "
        "config = preset_config('paper', 'mamujoco/Hopper-3x1', 'opspo'); "
        "learner = make_learner(config, make_env(config.env)); "
        "jax.block_until_ready(jax.jit(learner.init)(0))"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=200)
