"""Joint environments side by side, here and in worker processes that may die."""

import dataclasses
import json
import multiprocessing
import os
import signal
import time
from functools import partial

import gymnasium
import jax
import numpy as np
import pytest
from small import small_config

from opspo.config import RolloutConfig
from opspo.environments.base import EnvironmentSpec
from opspo.environments.joint import JointBatch, joint_spaces
from opspo.environments.workers import _made_in_worker
from opspo.errors import EngineError, TrainingError
from opspo.evaluate import make_evaluator
from opspo.policies.team import make_team
from opspo.training.trainer import train

SPEC = EnvironmentSpec(
    "walk", 2, 3, 1, num_actions=2, episode_limit=5, has_win=True, outcomes=("steps",)
)


class Walk(gymnasium.Env):
    """Five steps; the reward is the share of agents that chose 1. May break at a step."""

    def __init__(self, breaks_at=None, how=None, first_only=""):
        self.observation_space, self.action_space = joint_spaces(SPEC)
        self.breaks_at, self.how, self.marker = breaks_at, how, first_only

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.start = 0, float(self.np_random.uniform())
        return self.seen(), {}

    def step(self, action):
        self.t += 1
        if self.t == self.breaks_at and not (self.marker and os.path.exists(self.marker)):
            if self.marker:
                open(self.marker, "w").close()
            self.how()
        end = self.t == 5
        info = {"win": bool(np.all(action == 1)), "steps": float(self.t)} if end else {}
        return self.seen(), float(np.mean(action)), end, False, info

    def seen(self):
        return {
            "observation": np.full((2, 3), self.start, np.float32),
            "state": np.array([self.t], np.float32),
            "alive": np.ones(2, np.int8),
            "available_actions": np.ones((2, 2), np.int8),
        }


class OnHost:
    """A `HostEnvironment` of them."""

    spec = SPEC

    def __init__(self, make=Walk, workers=True):
        self.make, self.workers = make, workers

    def open(self, num_envs, seed):
        return JointBatch(SPEC, self.make, num_envs, seed, workers=self.workers)


def fail():
    raise ValueError("the ball is gone")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def few_steps(folder):
    return dataclasses.replace(
        small_config("own/walk"),
        total_steps=64,
        run_dir=str(folder / "run"),
        rollout=RolloutConfig(num_envs=2, num_steps=16),
    )


def play(batch, steps, *, num_envs=2):
    rng, out = np.random.default_rng(0), []
    seen = batch.reset()
    for _ in range(steps):
        step, following = batch.step(rng.integers(0, 2, (num_envs, 2)))
        out.append((seen, step, following))
        seen = following
    return out


def test_workers_play_what_is_played_here():
    rows = []
    for workers in (False, True):
        batch = OnHost(workers=workers).open(2, 7)
        rows.append(play(batch, 12))
        batch.close()
        assert batch.lost_episodes == 0
    for here, there in zip(*rows, strict=True):
        jax.tree.map(np.testing.assert_array_equal, here, there)
    steps = [step for _, step, _ in rows[1]]
    assert [bool(step.terminated.all()) for step in steps] == [t % 5 == 4 for t in range(12)]
    assert steps[4].outcome["steps"].tolist() == [5, 5]
    # the true last observation, and the first of another episode
    assert steps[4].observation.state.tolist() == [[5], [5]]
    _, last, following = rows[1][4]
    assert following.state.tolist() == [[0], [0]]
    assert (following.observation != last.observation.observation).all()
    assert not multiprocessing.active_children()


def test_every_environment_has_a_seed_of_its_own():
    batch = OnHost(workers=False).open(3, 0)
    assert len(set(batch.reset().observation[:, 0, 0].tolist())) == 3


def test_several_decisions_have_an_axis_of_their_own():
    spec = dataclasses.replace(SPEC, num_actions=4, action_size=3)
    seen, acts = joint_spaces(spec)
    assert seen["available_actions"].shape == (2, 3, 4)
    assert acts.nvec.tolist() == [[4] * 3] * 2
    seen, acts = joint_spaces(SPEC)
    assert (seen["available_actions"].shape, acts.nvec.tolist()) == ((2, 2), [2, 2])


@pytest.mark.parametrize("how", [fail, die])
def test_a_worker_that_dies_starts_again_and_its_episode_is_lost(tmp_path, how):
    marker = str(tmp_path / "broken")
    # both break at their third step, but only the first of them to get there
    batch = OnHost(lambda: Walk(3, how, marker)).open(2, 0)
    rows = play(batch, 9)
    batch.close()
    lost = np.array([step.lost for _, step, _ in rows])
    assert batch.lost_episodes == lost.sum() == lost[2].sum() >= 1
    who = int(np.flatnonzero(lost[2])[0])
    before, step, following = rows[2]
    assert bool(step.truncated[who]) and not step.terminated[who]
    assert step.reward[who] == 0
    np.testing.assert_array_equal(step.observation.state[who], before.state[who])
    assert following.state[who].tolist() == [0]
    # and from there the new worker plays whole episodes
    assert [bool(step.terminated[who]) for _, step, _ in rows[3:8]] == [False] * 4 + [True]


def test_a_worker_that_does_not_answer_counts_as_dead(tmp_path, monkeypatch):
    monkeypatch.setattr("opspo.environments.workers.PATIENCE", 4.0)
    batch = OnHost(lambda: Walk(3, partial(time.sleep, 600), str(tmp_path / "stuck"))).open(1, 0)
    rows = play(batch, 8, num_envs=1)
    batch.close()
    assert batch.lost_episodes == 1
    assert rows[2][1].lost.all()


def test_three_deaths_without_an_episode_between_them_are_the_end():
    batch = OnHost(lambda: Walk(3, fail)).open(1, 0)
    with pytest.raises(EngineError, match=r"(?s)died 3 times.*ball is gone"):
        play(batch, 20, num_envs=1)
    batch.close()
    assert batch.lost_episodes == 2


def test_deaths_with_episodes_between_them_are_not_the_end(tmp_path):
    class Sometimes(Walk):
        """Breaks in the second episode of each process."""

        episodes = 0

        def reset(self, *, seed=None, options=None):
            self.episodes += 1
            self.breaks_at = 2 if self.episodes == 2 else None
            return super().reset(seed=seed)

    batch = OnHost(lambda: Sometimes(how=fail)).open(1, 0)
    play(batch, 5 * 7, num_envs=1)
    batch.close()
    assert batch.lost_episodes == 5


def test_an_environment_that_cannot_even_start_says_why():
    class Missing(Walk):
        def reset(self, *, seed=None, options=None):
            raise FileNotFoundError("no game at /games")

    batch = OnHost(Missing).open(1, 0)
    with pytest.raises(EngineError, match="no game at /games"):
        batch.reset()
    batch.close()


def test_a_lost_episode_is_played_again_in_an_evaluation(tmp_path):
    environment = OnHost(lambda: Walk(3, fail, str(tmp_path / "broken")))
    team = make_team(small_config("probe/credit").policy, SPEC)
    evaluation = make_evaluator(environment, team, episodes=6, greedy=True)(
        team.init(jax.random.PRNGKey(0)), 0
    )
    assert evaluation.lengths == (5,) * 6
    assert evaluation.summary()["steps"] == 5


def test_training_counts_lost_episodes_and_leaves_them_out(tmp_path):
    config = few_steps(tmp_path)
    environment = OnHost(lambda: Walk(3, fail, str(tmp_path / "broken")))
    train(config, environment=environment)
    rows = [json.loads(x) for x in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["lost_episodes"] >= 1
    assert all(row["episode_length"] in (None, 5.0) for row in rows)
    assert rows[-1]["steps"] == 5


def test_training_that_loses_its_engine_saves_its_state_and_shows_the_traceback(tmp_path):
    config = few_steps(tmp_path)
    environment = OnHost(lambda: Walk(3, fail))
    with pytest.raises(TrainingError, match=r"(?s)in fail.*ball is gone.*opspo.resume\("):
        train(config, environment=environment)
    assert (tmp_path / "run" / "checkpoints" / "0").is_dir()
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_at_once_is_an_error_of_the_engine():
    class Doomed(Walk):
        def reset(self, *, seed=None, options=None):
            die()

    batch = OnHost(Doomed).open(1, 0)
    with pytest.raises(EngineError, match=r"(?s)died 3 times.*without an error message"):
        batch.reset()
    batch.close()
    assert not multiprocessing.active_children()


def test_a_batch_closes_although_a_worker_is_stuck_and_its_engine_is_closed_too(tmp_path):
    class Closing(Walk):
        def close(self):
            (tmp_path / "closed").touch()

    batch = OnHost(lambda: Closing(1, partial(time.sleep, 600))).open(1, 0)
    batch.reset()
    batch._runners[0].send(np.zeros(2, int))
    time.sleep(1)
    (tmp_path / "closed").unlink(missing_ok=True)  # the trainer makes one for its sizes
    begin = time.monotonic()
    batch.close()
    assert time.monotonic() - begin < 30
    assert (tmp_path / "closed").exists()
    assert not multiprocessing.active_children()


def test_ctrl_c_still_reaches_the_trainer():
    before = signal.getsignal(signal.SIGINT)
    batch = OnHost().open(1, 0)
    batch.reset()
    assert signal.getsignal(signal.SIGINT) is before
    assert _made_in_worker(Walk, os.getpid()) is not None
    assert signal.getsignal(signal.SIGINT) is before
    batch.close()
