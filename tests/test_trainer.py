"""Runs: exact resume, the run folder's files, and what happens when something goes wrong."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_config

import opspo.training.loop as loop_module
import opspo.training.trainer as trainer_module
from opspo.checkpoint import Checkpoints
from opspo.config import from_json
from opspo.environments import make_env
from opspo.errors import Interrupted, RunError, TrainingError
from opspo.run_folder import read_lines
from opspo.training.resuming import resume
from opspo.training.trainer import train

pytestmark = pytest.mark.slow

WALL = ("wall_seconds", "steps_per_second")


def config_in(path, **fields):
    config = small_config(fields.pop("env", "probe/credit"), fields.pop("algo", "opspo"))
    return dataclasses.replace(config, run_dir=str(path), **fields)


def without_wall(path):
    return [{k: v for k, v in row.items() if k not in WALL} for row in read_lines(path)]


def saved_bytes(folder, iteration):
    """Every array of a checkpoint, as stored."""
    import orbax.checkpoint as ocp

    with ocp.PyTreeCheckpointer() as reader:
        flat = reader.restore((folder / "checkpoints" / str(iteration) / "default").absolute())
    return {name: np.asarray(value).tobytes() for name, value in flat.items()}


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    result = train(config_in(folder))
    return folder, result


def test_a_run_folder_holds_what_is_promised(whole_run):
    folder, result = whole_run
    config = from_json((folder / "config.json").read_text())
    assert config.env == "probe/credit"
    rows = read_lines(folder / "metrics.jsonl")
    assert [row["iteration"] for row in rows] == list(range(1, 9))
    assert rows[-1]["env_steps"] == result.env_steps == 2048
    promised = {"env_steps", "wall_seconds", "steps_per_second", "episode_return", "entropy"}
    positions = {"kl", "clip_fraction", "others_log_ratio_abs", "others_ratio_ess"}
    assert promised | positions <= set(rows[0])
    assert all(len(rows[0][name]) == 2 for name in positions)
    assert "win_rate" not in rows[0]
    evaluations = read_lines(folder / "evaluations.jsonl")
    assert len(evaluations[-1]["returns"]) == 16
    versions = json.loads((folder / "versions.json").read_text())
    assert versions["packages"]["jax"] == jax.__version__
    assert json.loads((folder / "environment.json").read_text())["num_agents"] == 2


def test_rerunning_from_config_json_gives_the_same_run(whole_run, tmp_path):
    folder, _ = whole_run
    config = from_json((folder / "config.json").read_text())
    train(dataclasses.replace(config, run_dir=str(tmp_path / "again")))
    assert saved_bytes(tmp_path / "again", 8) == saved_bytes(folder, 8)


def test_resume_from_the_middle_is_bit_for_bit(whole_run, tmp_path):
    """Stopped at half way, gone on to the end: parameters, metrics and evaluations agree."""
    folder, _ = whole_run
    half = tmp_path / "half"
    config = config_in(half)
    train(config)
    resume(half, checkpoint=4)
    assert saved_bytes(half, 8) == saved_bytes(folder, 8)
    assert without_wall(half / "metrics.jsonl") == without_wall(folder / "metrics.jsonl")
    name = "evaluations.jsonl"
    assert without_wall(half / name) == without_wall(folder / name)


def test_kill_and_resume_is_bit_for_bit(tmp_path):
    """`kill -9` in the middle of the run, in a process of its own."""
    flags = ["--env", "probe/credit", "--total-steps", "25600", "--rollout.num-envs", "16"]
    flags += ["--rollout.num-steps", "16", "--policy.hidden-sizes", "16", "--no-tensorboard"]
    flags += ["--checkpoint.every-steps", "1024", "--evaluation.final-episodes", "4"]
    command = [sys.executable, "-m", "opspo", "train", *flags]
    subprocess.run([*command, "--run-dir", str(tmp_path / "whole")], check=True)
    killed = tmp_path / "killed"
    process = subprocess.Popen([*command, "--run-dir", str(killed)])
    while len(read_lines(killed / "metrics.jsonl")) < 20:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(read_lines(killed / "metrics.jsonl")) < 100
    subprocess.run([sys.executable, "-m", "opspo", "resume", "--run-dir", str(killed)], check=True)
    assert saved_bytes(killed, 100) == saved_bytes(tmp_path / "whole", 100)
    whole = tmp_path / "whole" / "metrics.jsonl"
    assert without_wall(killed / "metrics.jsonl") == without_wall(whole)


def test_ctrl_c_saves_and_says_how_to_resume(tmp_path, monkeypatch):
    config = config_in(tmp_path / "run")
    original = loop_module.metrics_row

    def interrupt_at_three(metrics, **where):
        if where["iteration"] == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(metrics, **where)

    monkeypatch.setattr(loop_module, "metrics_row", interrupt_at_three)
    with pytest.raises(Interrupted, match=r"iteration 3.*opspo resume --run-dir"):
        train(config)
    assert Checkpoints(tmp_path / "run" / "checkpoints").iterations() == [3]
    monkeypatch.setattr(loop_module, "metrics_row", original)
    assert resume(tmp_path / "run").env_steps == 2048


class Poisoned:
    """Gives something that must not be, at the given clock value of one environment."""

    def __init__(self, spoil):
        self._env, self._spoil = make_env("probe/credit"), spoil
        self.spec = self._env.spec

    def reset(self, key):
        state, seen = self._env.reset(key)
        return state | {"total": jnp.array(0)}, seen

    def step(self, key, state, action):
        total = state.pop("total") + 1
        state, step = self._env.step(key, state, action)
        return state | {"total": total}, self._spoil(step, total)


def nan_reward(step, total):
    return step.replace(reward=jnp.where(total > 5, jnp.nan, step.reward))


def no_action(step, total):
    seen = step.observation
    available = seen.available_actions & (total <= 3)
    return step.replace(observation=seen.replace(available_actions=available))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [(nan_reward, "reward is not finite"), (no_action, "without any available action")],
)
def test_bad_quantities_stop_training_and_save_the_last_good_state(
    tmp_path, monkeypatch, spoil, says
):
    monkeypatch.setattr(trainer_module, "make_env", lambda env: Poisoned(spoil))
    config = config_in(tmp_path / "run")
    with pytest.raises(TrainingError, match=rf"Iteration 1: .*{says}.*after iteration 0"):
        train(config)
    folder = tmp_path / "run"
    assert Checkpoints(folder / "checkpoints").iterations() == [0]
    monkeypatch.undo()
    from opspo.policy import load_policy

    assert np.isfinite(
        np.concatenate([x.ravel() for x in jax.tree.leaves(load_policy(folder).params)])
    ).all()


def test_an_existing_run_is_refused_unless_overwritten(whole_run):
    folder, _ = whole_run
    before = (folder / "metrics.jsonl").read_text()
    with pytest.raises(RunError, match=r"exists.*opspo resume.*--overwrite"):
        train(config_in(folder))
    assert (folder / "metrics.jsonl").read_text() == before


def test_overwrite_never_deletes_what_is_no_run(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="not a run folder"):
        train(config_in(tmp_path), overwrite=True)
    assert (tmp_path / "thesis.tex").exists()


def test_overwrite_starts_anew(tmp_path):
    config = config_in(tmp_path / "run", total_steps=256)
    train(config)
    train(config, overwrite=True)
    assert len(read_lines(tmp_path / "run" / "metrics.jsonl")) == 1


def test_torn_checkpoint_is_named_and_the_one_before_resumes(whole_run, tmp_path):
    import shutil

    source, _ = whole_run
    folder = tmp_path / "torn"
    shutil.copytree(source, folder)
    for file in (folder / "checkpoints" / "8").rglob("*"):
        if file.is_file() and file.parent.name == "d":
            file.write_bytes(file.read_bytes()[:7])
    with pytest.raises(RunError, match=r"Checkpoint 8 .*cannot be read.*--checkpoint 4"):
        resume(folder)
    assert resume(folder, checkpoint=4).env_steps == 2048
    assert saved_bytes(folder, 8) == saved_bytes(source, 8)


def test_foreign_checkpoint_is_refused(whole_run, tmp_path):
    """A checkpoint of other networks does not slip in."""
    import shutil

    source, _ = whole_run
    folder = tmp_path / "foreign"
    shutil.copytree(source, folder)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(
        text.replace('"hidden_sizes": [\n      32', '"hidden_sizes": [\n      16')
    )
    with pytest.raises(
        RunError,
        match=r"policy\.hidden_sizes was \[32\] when checkpoint 8 was written, and is \[16\] now",
    ):
        resume(folder)


def test_nothing_to_resume(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        resume(tmp_path)


def test_overwrite_leaves_other_files_alone(tmp_path):
    config = config_in(tmp_path / "run", total_steps=256)
    train(config)
    (tmp_path / "run" / "notes.txt").write_text("mine")
    train(config, overwrite=True)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_two_processes_do_not_train_in_one_folder(whole_run):
    from opspo.run_folder import RunFolder, hold

    folder, _ = whole_run
    with hold(RunFolder(folder)), pytest.raises(RunError, match="Another process"):
        resume(folder)


def test_resuming_a_finished_run_changes_nothing(whole_run, tmp_path):
    import shutil

    source, result = whole_run
    folder = tmp_path / "finished"
    shutil.copytree(source, folder)
    assert resume(folder).evaluation == result.evaluation
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        assert (folder / name).read_text() == (source / name).read_text()


def test_a_huge_reward_that_breaks_the_statistics_is_caught(tmp_path, monkeypatch):
    def huge(step, total):
        return step.replace(reward=jnp.where(total > 5, 1e30, step.reward))

    monkeypatch.setattr(trainer_module, "make_env", lambda env: Poisoned(huge))
    with pytest.raises(TrainingError, match="value statistics is not finite"):
        train(config_in(tmp_path / "run"))


def test_works_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    train(config_in(tmp_path / "run", total_steps=256))
    assert json.loads((tmp_path / "run" / "versions.json").read_text())["git_commit"] is None


def test_an_unwritable_folder_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot be written.*--run-dir"):
        train(config_in(tmp_path / "file" / "run"))


def test_full_disk_is_a_clear_error_and_keeps_what_was_saved(whole_run, tmp_path, monkeypatch):
    config = config_in(tmp_path / "run")
    real = Checkpoints.save

    def full(self, iteration, state):
        if iteration < 8:
            return real(self, iteration, state)

        def no_space(*args, **kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(self._manager, "save", no_space)
        return real(self, iteration, state)

    monkeypatch.setattr(Checkpoints, "save", full)
    with pytest.raises(RunError, match=r"No space left on device.*\n.*4.*opspo resume"):
        train(config)
    monkeypatch.undo()
    assert Path(tmp_path / "run" / "checkpoints" / "4").is_dir()
    resume(tmp_path / "run")
    assert saved_bytes(tmp_path / "run", 8) == saved_bytes(whole_run[0], 8)


def test_the_best_checkpoint_is_kept_apart(tmp_path):
    """With evaluations on the way, `best` holds the highest score's iteration."""
    config = config_in(tmp_path / "run")
    evaluation = dataclasses.replace(config.evaluation, every_steps=512)
    train(dataclasses.replace(config, evaluation=evaluation))
    rows = read_lines(tmp_path / "run" / "evaluations.jsonl")
    best = max(rows, key=lambda row: row["mean_return"])  # the first of equals
    assert Checkpoints(tmp_path / "run" / "best").iterations() == [best["iteration"]]
