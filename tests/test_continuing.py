"""Another end for a run: the same as if it had had it from the start, where nothing is annealed."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from reach import Reach
from small import small_config

import opspo
from opspo.cli import main
from opspo.config import CheckpointConfig, from_json
from opspo.errors import ConfigError, RunError
from opspo.run_folder import read_lines
from opspo.training.resuming import resume
from opspo.training.trainer import train

pytestmark = pytest.mark.slow

WALL = ("wall_seconds", "steps_per_second")


def config_in(path, *, total_steps, anneal=False, **fields):
    config = small_config("probe/credit")
    optimiser = dataclasses.replace(config.optimiser, anneal=anneal)
    return dataclasses.replace(
        config, run_dir=str(path), total_steps=total_steps, optimiser=optimiser, **fields
    )


def without_wall(path):
    return [{k: v for k, v in row.items() if k not in WALL} for row in read_lines(path)]


def params(folder):
    leaves = jax.tree.leaves(opspo.load_policy(folder).params)
    return [np.asarray(x).tobytes() for x in leaves]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Four iterations, and six from the start."""
    path = tmp_path_factory.mktemp("runs")
    for steps in (1024, 1536):
        train(config_in(path / str(steps), total_steps=steps))
    return path


@pytest.fixture
def short(runs, tmp_path):
    shutil.copytree(runs / "1024", tmp_path / "run")
    return tmp_path / "run"


def test_an_extended_run_is_the_longer_one_bit_for_bit(runs, short):
    result = resume(short, total_steps=1536)
    assert result.env_steps == 1536
    assert params(short) == params(runs / "1536")
    whole = runs / "1536"
    assert without_wall(short / "metrics.jsonl") == without_wall(whole / "metrics.jsonl")
    first, last = without_wall(short / "evaluations.jsonl")  # the old end's is kept
    assert [first["env_steps"], last["env_steps"]] == [1024, 1536]
    assert [last] == without_wall(whole / "evaluations.jsonl")


def test_the_new_end_is_kept(short):
    resume(short, total_steps=1536)
    assert from_json((short / "config.json").read_text()).total_steps == 1536
    assert read_lines(short / "extended.jsonl") == [
        {"iteration": 4, "env_steps": 1024, "total_steps_before": 1024, "total_steps": 1536}
    ]
    before = (short / "metrics.jsonl").read_text()
    assert resume(short).env_steps == 1536  # and is not asked for again
    assert (short / "metrics.jsonl").read_text() == before
    resume(short, total_steps=1536)
    assert len(read_lines(short / "extended.jsonl")) == 1


def test_an_extension_can_be_undone_from_an_earlier_checkpoint(runs, tmp_path):
    """The longer run, shortened to what is done at its checkpoint 4."""
    folder = tmp_path / "run"
    shutil.copytree(runs / "1536", folder)
    resume(folder, checkpoint=4, total_steps=1280)
    rows = read_lines(folder / "metrics.jsonl")
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5]
    assert read_lines(folder / "extended.jsonl")[0]["total_steps"] == 1280


def change(iteration, before, after, *, anneal=False):
    """A row of extended.jsonl, of runs of 256 steps an iteration."""
    row = {"iteration": iteration, "env_steps": 256 * iteration}
    row |= {"total_steps_before": before, "total_steps": after}
    rates = [1 - 256 * iteration / end for end in (before, after)]
    return row | ({"step_size_before": rates[0], "step_size": rates[1]} if anneal else {})


@pytest.mark.parametrize("anneal", [False, True])
def test_going_back_before_an_extension_notes_it_where_it_holds_now(anneal, tmp_path, capsys):
    run, keep = tmp_path / "run", CheckpointConfig(every_steps=256, keep=9)
    train(config_in(run, total_steps=1024, anneal=anneal, checkpoint=keep))
    assert not (run / "extended.jsonl").exists()
    resume(run)
    assert not (run / "extended.jsonl").exists()
    resume(run, total_steps=2048)
    assert read_lines(run / "extended.jsonl") == [change(4, 1024, 2048, anneal=anneal)]
    capsys.readouterr()
    resume(run, checkpoint=2)
    assert read_lines(run / "extended.jsonl") == [change(2, 1024, 2048, anneal=anneal)]
    shown = " ".join(capsys.readouterr().out.split())
    assert "ends after 2,048 steps instead of 1,024" in shown
    assert ("continue at 75.0% of their initial values instead of 50.0%" in shown) == anneal
    # back to before it, with the end of then: there was none
    resume(run, checkpoint=1, total_steps=1024)
    assert not (run / "extended.jsonl").exists()
    assert from_json((run / "config.json").read_text()).total_steps == 1024


def test_of_two_extensions_the_one_before_stays(tmp_path):
    run, keep = tmp_path / "run", CheckpointConfig(every_steps=256, keep=9)
    train(config_in(run, total_steps=512, checkpoint=keep))
    for steps in (1024, 1280):
        resume(run, total_steps=steps)
    resume(run, checkpoint=3)
    assert read_lines(run / "extended.jsonl") == [change(2, 512, 1024), change(3, 1024, 1280)]
    resume(run, checkpoint=1)
    assert read_lines(run / "extended.jsonl") == [change(1, 512, 1280)]


def test_devices_for_this_time_are_not_written(short):
    resume(short, total_steps=1280, devices=1)
    assert json.loads((short / "config.json").read_text())["devices"] == 1


def files(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (
            {"total_steps": 700},
            RunError,
            r"--total-steps is 700, but checkpoint 4 .*already done 1,024",
        ),
        ({"total_steps": 0}, ConfigError, "total_steps must be at least 1"),
        ({"total_steps": 9999, "checkpoint": 77}, RunError, "no checkpoint 77"),
        ({"total_steps": 9999, "environment": Reach()}, RunError, "is not the one"),
    ],
)
def test_what_cannot_begin_leaves_everything_as_it_was(short, arguments, error, says):
    before = files(short)
    with pytest.raises(error, match=says):
        resume(short, **arguments)
    assert files(short) == before


def test_annealed_step_sizes_are_stretched_and_said(tmp_path, capsys):
    """Half of the new run is to come, so half of the step size is left; it had reached none."""
    run = tmp_path / "run"
    train(config_in(run, total_steps=1024, anneal=True))
    main(["resume", "--run-dir", str(run), "--total-steps", "2048"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "ends after 2,048 steps instead of 1,024" in shown
    assert "they continue at 50.0% of their initial values instead of 0.0%" in shown
    row = read_lines(run / "extended.jsonl")[0]
    assert (row["step_size_before"], row["step_size"]) == (0.0, 0.5)
    # it is not the run that was annealed over 2,048 steps from the start
    train(config_in(tmp_path / "whole", total_steps=2048, anneal=True))
    assert params(run) != params(tmp_path / "whole")


def test_help_explains_annealing(capsys):
    with pytest.raises(SystemExit):
        main(["resume", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Annealed step sizes then fall to 0 at the new end" in shown


def test_another_version_of_the_engine_is_a_note(tmp_path, capsys):
    run = tmp_path / "run"
    train(config_in(run, total_steps=256, env="own/reach"), environment=Reach())
    resume(run, environment=Reach(engine="own 2"))
    assert "The engine was own 1, and is own 2 now." in " ".join(capsys.readouterr().out.split())
