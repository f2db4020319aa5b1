"""What fails around an iteration loses nothing of what was learned."""

import contextlib
import dataclasses

import numpy as np
import pytest
from hosts import Batch, OnHost
from small import small_config

import opspo
import opspo.training.loop as loop_module
from opspo.checkpoint import Checkpoints
from opspo.config import CheckpointConfig, EvaluationConfig, RolloutConfig
from opspo.environments import make_env
from opspo.environments.entry import entered
from opspo.errors import ConfigError, TrainingError
from opspo.run_folder import read_lines
from opspo.training.metrics import Log
from opspo.training.trainer import train_seeds

EACH = CheckpointConfig(every_steps=64, keep=9)
"""One after each iteration"""
on = pytest.mark.parametrize("on", ["jax", "host"])


def make(on):
    return OnHost("credit") if on == "host" else make_env("probe/credit")


def config_in(path, **fields):
    """Six iterations of 64 steps."""
    config = small_config("own/credit", "mappo", epochs=1)
    config = dataclasses.replace(
        config, rollout=RolloutConfig(num_envs=8, num_steps=8), total_steps=6 * 64
    )
    return dataclasses.replace(config, run_dir=str(path / "run"), **fields)


def fails(config, environment):
    """What the training says that fails, and the checkpoints that it leaves."""
    with pytest.raises(TrainingError) as caught:
        opspo.train(config, environment=environment)
    said = str(caught.value)
    assert said.endswith(f"opspo.resume({str(config.folder)!r}, environment=...)")
    return said, Checkpoints(config.folder / "checkpoints").iterations()


def goes_on(config, environment):
    opspo.resume(config.folder, environment=environment)
    rows = read_lines(config.folder / "metrics.jsonl")
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5, 6]


def at_call(number, call, error):
    """`call`, but it raises at the call of that number, after it is done."""
    calls = 0

    def counted(*arguments, **named):
        nonlocal calls
        calls += 1
        answer = call(*arguments, **named)
        if calls == number:
            raise error
        return answer

    return counted


def state_bytes(config, iteration):
    arrays = Checkpoints(config.folder / "checkpoints").arrays(iteration, ("actor", "critic"))
    return {name: np.asarray(x).tobytes() for name, x in arrays.items()}


@pytest.mark.slow
@on
def test_what_fails_after_an_iteration_saves_the_state_after_it(on, tmp_path, monkeypatch):
    whole = config_in(tmp_path / "whole", checkpoint=EACH)
    opspo.train(whole, environment=make(on))
    config = config_in(tmp_path)
    full = at_call(3, Log._events, OSError(28, "No space left on device"))
    monkeypatch.setattr(Log, "_events", full)
    said, saved = fails(config, make(on))
    assert said.startswith("What follows iteration 3 failed.\n") and "No space left" in said
    assert saved == [3] and "is saved" in said
    assert state_bytes(config, 3) == state_bytes(whole, 3)
    monkeypatch.undo()
    goes_on(config, make(on))


@pytest.mark.slow
@on
def test_so_does_what_a_setting_refuses_late(on, tmp_path, monkeypatch):
    """A `ConfigError` passes only where there is nothing yet that it would lose."""
    late = at_call(2, loop_module.metrics_row, ConfigError("two.lines must be\n- otherwise"))
    monkeypatch.setattr(loop_module, "metrics_row", late)
    said, saved = fails(config_in(tmp_path), make(on))
    assert "two.lines must be\n- otherwise\n" in said and saved == [2]


@pytest.mark.slow
def test_a_state_that_is_used_up_is_said_to_be(tmp_path, monkeypatch):
    """What fails within the learning itself has taken it; the error is still its own."""
    ready = loop_module.ready

    @contextlib.contextmanager
    def breaking(learner, state):
        with ready(learner, state) as (now, iterate):
            yield now, at_call(3, iterate, MemoryError("out of memory"))

    monkeypatch.setattr(loop_module, "ready", breaking)
    config = config_in(tmp_path, checkpoint=EACH)
    said, saved = fails(config, OnHost("credit"))
    assert "MemoryError: out of memory\nThe update had consumed the state before" in said
    assert saved == [1, 2] and "is saved" not in said
    monkeypatch.undo()
    goes_on(config, OnHost("credit"))


# ------------------------------------------------------------------- the count of lost episodes


class Uncounted(Batch):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        del self.lost_episodes


class RaisesAtTheThird(Batch):
    """The one that trains is asked once an iteration."""

    left = 3

    def __init__(self, *arguments):
        self.arguments = arguments
        super().__init__(*arguments)

    @property
    def lost_episodes(self):
        return self.counted()

    @lost_episodes.setter
    def lost_episodes(self, value):
        pass

    def counted(self):
        if self.num_envs == 8:
            RaisesAtTheThird.left -= 1
            if RaisesAtTheThird.left == 0:
                raise ZeroDivisionError("the author's fault in lost_episodes")
        return 0


class Of(OnHost):
    def __init__(self, batch):
        super().__init__("credit")
        self.batch = batch

    def open(self, num_envs, seed):
        batch = self.batch(self.inner, num_envs, seed)
        self.opened.append(batch)
        return batch


def test_a_batch_that_lacks_something_is_refused_at_the_door(tmp_path):
    environment = Of(Uncounted)
    with pytest.raises(ConfigError, match=r"`open` returns has no `lost_episodes`.*HostBatch"):
        opspo.train(config_in(tmp_path), environment=environment)
    assert [batch.closed for batch in environment.opened] == [True]
    with pytest.raises(ConfigError, match="has no `lost_episodes`"):
        entered(environment, agent_id=False).open(2, 0)


@pytest.mark.slow
def test_it_is_asked_for_its_count_before_the_state_is_used_up(tmp_path):
    environment, config = Of(RaisesAtTheThird), config_in(tmp_path)
    RaisesAtTheThird.left = 1 + 3  # the door looks whether it is there
    said, saved = fails(config, environment)
    assert "ZeroDivisionError: the author's fault in lost_episodes" in said and "in counted" in said
    assert saved == [2]
    goes_on(config, environment)


# ------------------------------------------------------------------- evaluations


class PaysNaN(Batch):
    """In evaluations alone, while it is told to."""

    told = True

    def step(self, action):
        step, following = super().step(action)
        if self.num_envs < 8 and PaysNaN.told:
            step = step.replace(reward=np.full_like(step.reward, np.inf))
        return step, following


@pytest.mark.slow
@pytest.mark.parametrize(("every_steps", "iteration"), [(128, 2), (0, 6)])
def test_a_return_that_is_not_finite_loses_nothing(every_steps, iteration, tmp_path, monkeypatch):
    monkeypatch.setattr(PaysNaN, "told", True)
    few = EvaluationConfig(every_steps=every_steps, episodes=3, final_episodes=2)
    environment, config = Of(PaysNaN), config_in(tmp_path, evaluation=few)
    said, saved = fails(config, environment)
    assert f"evaluation after iteration {iteration} has a return that is not finite: inf" in said
    assert "opspo.check_env" in said and "is saved" in said and saved == [iteration]
    assert read_lines(config.folder / "evaluations.jsonl") == []
    PaysNaN.told = False
    goes_on(config, environment)


@pytest.mark.slow
def test_nor_does_that_of_one_seed_among_others(tmp_path, monkeypatch):
    make_evaluator = loop_module.make_evaluator

    def broken(*arguments, **named):
        evaluator = make_evaluator(*arguments, **named)

        def play(params, seed):
            evaluation = evaluator(params, seed)
            second = seed == 1 + loop_module.EVALUATION_SEED
            returns = (float("nan"),) * 3 if second else evaluation.returns
            return dataclasses.replace(evaluation, returns=returns)

        return play

    monkeypatch.setattr(loop_module, "make_evaluator", broken)
    few = EvaluationConfig(every_steps=128, episodes=3, final_episodes=2)
    config = config_in(tmp_path, evaluation=few, env="probe/credit")
    with pytest.raises(TrainingError) as caught:
        train_seeds(config, [0, 1, 2])
    said, folders = str(caught.value), [config.folder / f"seed{i}" for i in range(3)]
    assert said.startswith("Seed 1. The evaluation after iteration 2 ") and ": nan." in said
    for folder in folders:
        assert f"opspo resume --run-dir {folder}" in said
        assert Checkpoints(folder / "checkpoints").iterations() == [2]
    assert len(read_lines(folders[0] / "evaluations.jsonl")) == 1


@pytest.mark.slow
def test_an_evaluation_at_the_end_plays_the_episodes_of_those_before(tmp_path):
    every = {"every_steps": 128, "episodes": 3, "final_episodes": 0, "at_end": True}
    rows = {}
    for steps in (256, 320):
        config = config_in(
            tmp_path / str(steps),
            evaluation=EvaluationConfig(**every),
            env="probe/credit",
            total_steps=steps,
        )
        opspo.train(config)
        rows[steps] = read_lines(config.folder / "evaluations.jsonl")
    assert [row["env_steps"] for row in rows[256]] == [128, 256]  # it was done before
    assert [row["env_steps"] for row in rows[320]] == [128, 256, 320]
    for found in rows.values():
        assert {row["seed"] for row in found} == {loop_module.EVALUATION_SEED}
        assert {row["episodes"] for row in found} == {3}
