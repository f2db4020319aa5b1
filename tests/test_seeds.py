"""Several seeds in one program: each is the run that it would have been by itself."""

import dataclasses
import os
import signal

import jax
import numpy as np
import pytest
from hosts import OnHost
from small import small_config

import opspo.training.loop as loop_module
from opspo.checkpoint import Checkpoints
from opspo.config import from_json, parse_seeds
from opspo.errors import ConfigError, Interrupted, RunError, TrainingError
from opspo.run_folder import read_lines
from opspo.training.resuming import resume
from opspo.training.trainer import train, train_seeds

WALL = ("wall_seconds", "steps_per_second")


def config_in(path, **fields):
    return dataclasses.replace(small_config("probe/credit"), run_dir=str(path), **fields)


def numbers(path):
    """A file's numbers, line by line."""
    rows = [{k: v for k, v in row.items() if k not in WALL} for row in read_lines(path)]
    assert rows
    return [np.nan_to_num(np.array(jax.tree.leaves(row), float)) for row in rows]


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Two seeds that nothing disturbed."""
    folder = tmp_path_factory.mktemp("together")
    return folder, train_seeds(config_in(folder), (3, 1))


@pytest.mark.slow
def test_each_seed_is_the_run_it_would_have_been_alone(together, tmp_path):
    folder, results = together
    assert [result.run_dir.name for result in results] == ["seed3", "seed1"]
    alone = train(config_in(tmp_path / "alone", seed=1))
    assert results[1].evaluation.lengths == alone.evaluation.lengths
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        found, expected = numbers(folder / "seed1" / name), numbers(tmp_path / "alone" / name)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    first = read_lines(folder / "seed3" / "metrics.jsonl")
    assert first[0]["entropy"] != read_lines(folder / "seed1" / "metrics.jsonl")[0]["entropy"]


@pytest.mark.slow
def test_a_seeds_folder_is_a_runs_folder(together):
    folder, results = together
    config = from_json((folder / "seed3" / "config.json").read_text())
    assert (config.seed, config.devices) == (3, 1)
    assert Checkpoints(folder / "seed3" / "checkpoints").iterations() == [4, 8]
    names = {path.name for path in (folder / "seed3").iterdir()}
    assert {"environment.json", "versions.json", "metrics.jsonl", "best"} <= names
    before = numbers(folder / "seed3" / "metrics.jsonl")
    assert resume(folder / "seed3", checkpoint=4).env_steps == results[0].env_steps
    np.testing.assert_allclose(numbers(folder / "seed3" / "metrics.jsonl"), before, atol=1e-4)


@pytest.mark.slow
def test_where_one_seeds_folder_exists_nothing_is_made(together):
    folder, _ = together
    with pytest.raises(RunError, match=r"seed1 exists"):
        train_seeds(config_in(folder), (0, 1))
    assert not (folder / "seed0").exists()


@pytest.mark.slow
def test_ctrl_c_saves_all(tmp_path, monkeypatch):
    original = loop_module.metrics_row

    def interrupt_at_three(metrics, **where):
        if where["iteration"] == 3:
            os.kill(os.getpid(), signal.SIGINT)
            monkeypatch.undo()
        return original(metrics, **where)

    monkeypatch.setattr(loop_module, "metrics_row", interrupt_at_three)
    with pytest.raises(Interrupted, match=r"iteration 3.*seed0\n.*seed1"):
        train_seeds(config_in(tmp_path), (0, 1))
    for seed in ("seed0", "seed1"):
        assert Checkpoints(tmp_path / seed / "checkpoints").iterations() == [3]


@pytest.mark.slow
def test_a_fault_of_one_seed_is_named_and_all_are_saved(tmp_path, monkeypatch):
    real = loop_module.ready_together

    def faulty(learner, states):
        """The second seed's iteration 2 does not go well, and leaves it as it was."""
        begun, iterate = real(learner, states)

        def spoiled(state):
            before = jax.device_get(state)
            state, metrics = iterate(state)
            if before.iteration[1] == 1:
                state = jax.tree.map(lambda old, new: new.at[1].set(old[1]), before, state)
                metrics["faults"]["reward"] = np.array([False, True])
            return state, metrics

        return begun, spoiled

    monkeypatch.setattr(loop_module, "ready_together", faulty)
    says = r"Seed 7\. Iteration 2: reward is not finite.*iteration 1 is saved in .*seed7"
    with pytest.raises(TrainingError, match=says) as error:
        train_seeds(config_in(tmp_path), (6, 7))
    assert str(error.value).endswith(f"opspo resume --run-dir {tmp_path / 'seed6'}")
    assert Checkpoints(tmp_path / "seed6" / "checkpoints").iterations() == [2]
    assert Checkpoints(tmp_path / "seed7" / "checkpoints").iterations() == [1]
    assert len(read_lines(tmp_path / "seed6" / "metrics.jsonl")) == 2
    assert len(read_lines(tmp_path / "seed7" / "metrics.jsonl")) == 1


def test_engines_outside_of_jax_train_one_at_a_time(tmp_path):
    with pytest.raises(ConfigError, match=r"one at a time, with --seed"):
        train_seeds(config_in(tmp_path), (0, 1), environment=OnHost("credit"))
    assert list(tmp_path.iterdir()) == []


def test_seeds_are_different_and_divided_by_the_devices(tmp_path):
    with pytest.raises(ConfigError, match="multiple of devices = 2, but are 0, 1, 2"):
        train_seeds(config_in(tmp_path, devices=2), (0, 1, 2))
    with pytest.raises(ConfigError, match="different"):
        train_seeds(config_in(tmp_path), (1, 1))


@pytest.mark.parametrize(
    ("text", "seeds"), [("0..2", (0, 1, 2)), ("4..4", (4,)), ("0,3,5", (0, 3, 5)), ("7", (7,))]
)
def test_seeds_as_a_flag(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "3..1", "1,", "a", "1..", "-1"])
def test_what_is_no_seeds(text):
    with pytest.raises(ConfigError, match=r"0\.\.7"):
        parse_seeds(text)
