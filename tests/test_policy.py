"""The trained policy by itself: the same episodes as the evaluation, and clear errors."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_config

import opspo
from opspo.environments import make_env
from opspo.errors import RunError
from opspo.evaluate import episode_keys, step_keys
from opspo.training.evaluate_run import evaluate_run
from opspo.training.trainer import train

pytestmark = pytest.mark.slow


def trained(path, env, **settings):
    config = small_config(env, **settings)
    rollout = dataclasses.replace(config.rollout, num_envs=8)
    train(dataclasses.replace(config, run_dir=str(path), rollout=rollout, total_steps=512))
    return path


@pytest.fixture(scope="module", params=["shared", "separate"])
def memory_run(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("policy") / "run"
    return trained(path, "probe/memory", recurrent=True, shared=request.param == "shared")


def play(policy, environment, seed, episode, *, greedy=True):
    """One episode as a user would write it."""
    step = jax.jit(environment.step)
    reset_key, play_key = episode_keys(seed, episode)
    state, seen = environment.reset(reset_key)
    policy.reset()
    total, done, t = 0.0, False, 0
    while not done:
        act_key, environment_key = step_keys(play_key, t)
        action = policy.act(seen.observation, seen.available_actions, greedy=greedy, key=act_key)
        state, out = step(environment_key, state, jnp.asarray(action))
        seen, total, t = out.observation, total + float(out.reward), t + 1
        done = bool(out.terminated | out.truncated)
    return total, t, bool(out.win)


@pytest.mark.parametrize("greedy", [True, False])
def test_a_python_loop_plays_the_evaluations_episodes(memory_run, greedy):
    evaluation = evaluate_run(memory_run, episodes=6, seed=11, greedy=greedy)
    policy = opspo.load_policy(memory_run)
    environment = make_env("probe/memory")
    played = [play(policy, environment, 11, e, greedy=greedy) for e in range(6)]
    np.testing.assert_allclose([p[0] for p in played], evaluation.returns, rtol=1e-6)
    assert tuple(p[1] for p in played) == evaluation.lengths


@pytest.mark.full
def test_smax_win_rate_equals_the_evaluations(tmp_path):
    """The real engine, real battles: win for win."""
    run = trained(tmp_path / "run", "smax/3m")
    evaluation = evaluate_run(run, episodes=10, seed=4)
    policy = opspo.load_policy(run)
    environment = make_env("smax/3m")
    played = [play(policy, environment, 4, e) for e in range(10)]
    assert tuple(p[2] for p in played) == evaluation.wins
    np.testing.assert_allclose([p[0] for p in played], evaluation.returns, rtol=1e-5)


def test_each_agent_alone_decides_as_in_the_team(memory_run):
    """Decentralised: an agent needs nothing but its own observation."""
    policy = opspo.load_policy(memory_run)
    alone = [policy.agent(i) for i in range(2)]
    for step in range(5):
        seen = jax.random.normal(jax.random.PRNGKey(step), (2, policy.team.input_size))
        together = policy.act(seen)
        apart = [alone[i].act(seen[i : i + 1])[0] for i in range(2)]
        assert together.tolist() == [int(a) for a in apart]


def test_a_batch_of_teams_is_each_team(memory_run):
    policy, single = opspo.load_policy(memory_run), opspo.load_policy(memory_run)
    seen = jax.random.normal(jax.random.PRNGKey(0), (4, 3, 2, policy.team.input_size))
    batched = [policy.act(x) for x in seen]
    for team in range(3):
        single.reset()
        for step in range(4):
            assert single.act(seen[step, team]).tolist() == batched[step][team].tolist()


def test_memory_matters_until_reset(memory_run):
    policy = opspo.load_policy(memory_run)
    seen = np.ones((2, policy.team.input_size))
    policy.act(seen)
    first = np.asarray(policy._memory)
    policy.act(seen)
    assert not np.allclose(policy._memory, first)
    policy.reset()
    policy.act(seen)
    np.testing.assert_array_equal(policy._memory, first)


def test_bad_input_is_explained(memory_run):
    policy = opspo.load_policy(memory_run)
    size = policy.team.input_size
    with pytest.raises(ValueError, match=rf"Expected observations \[2, {size}\].*got \[2, 3\]"):
        policy.act(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="no available action"):
        policy.act(np.zeros((2, size)), [[True, True], [False, False]])
    with pytest.raises(ValueError, match="Expected available_actions"):
        policy.act(np.zeros((2, size)), np.ones((2, 5)))
    with pytest.raises(ValueError, match="key="):
        policy.act(np.zeros((2, size)), greedy=False)
    with pytest.raises(ValueError, match="Agent 2 does not exist"):
        policy.agent(2)
    policy.act(np.zeros((2, size)))
    with pytest.raises(ValueError, match=r"reset\(\)"):
        policy.act(np.zeros((3, 2, size)))


def test_missing_runs_and_checkpoints_are_explained(memory_run, tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        opspo.load_policy(tmp_path)
    with pytest.raises(RunError, match=r"no checkpoint 77\. There are: \[4\]"):
        opspo.load_policy(memory_run, checkpoint=77)


def test_the_policy_loads_without_the_engine(memory_run):
    import subprocess
    import sys

    code = (
        f"import sys, opspo; opspo.load_policy({str(memory_run)!r});"
        "assert 'jaxmarl' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
