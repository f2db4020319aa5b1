"""The command line as a user meets it."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from opspo.cli import main
from opspo.config import TrainConfig, to_json


def call(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "opspo", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


SMALL = [
    *("--env", "probe/coordination", "--total-steps", "512", "--no-tensorboard"),
    *("--rollout.num-envs", "8", "--rollout.num-steps", "8", "--policy.hidden-sizes", "16"),
    *("--evaluation.final-episodes", "4", "--evaluation.every-steps", "0"),
]


def test_help_lists_the_commands_and_loads_no_jax():
    code = (
        "import sys; from opspo.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert 'jax' not in sys.modules"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    commands = re.findall(r"^  opspo (\w+) +\w", shown.stdout, re.MULTILINE)
    expected = ["train", "resume", "eval", "watch", "study", "tune", "plot", "report"]
    assert commands == [*expected, "fidelity", "bench", "theory", "check", "envs", "algos"]


def test_train_help_shows_types_defaults_and_docs_of_the_chosen_algorithm(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "--algo", "mappo", "--help"])
    assert stop.value.code == 0
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--algorithm.gamma FLOAT Discount per step. (default: 0.99)" in shown
    assert "--algorithm.order" not in shown  # MAPPO has none
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "--algorithm.order" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "--env", "smax/3mm"], ["smax/3m'", "smax/5m_vs_6m", "probe/credit"]),
        (["train", "--env", "smux/3m"], ["Did you mean 'smax/3m'", "probe/credit"]),
        (["train", "--algo", "oppso"], ["Did you mean 'opspo'", "mappo"]),
        (["train", "--algorithm.clap", "0.1"], ["--algorithm.clip"]),
        (["train", "--algorithm.clip", "2"], ["algorithm.clip must be in (0, 1)"]),
        (["train", "--algorithm.clip", "wide"], ["--algorithm.clip"]),
        (["train", "--preset", "papre"], ["Did you mean 'paper'", "literal"]),
        (["train", "--preset", "paper", "--env", "smax/3m"], ["preset", "smac/MMM2"]),
        (["train", "--preset", "literal", "--algo", "happo"], ["opspo", "happo"]),
        (["train", "--preset", "paper", "--from-config", "x"], ["Leave one out"]),
        (["train", "--variant", "equal_step"], ["Did you mean 'equal_steps'"]),
        (["bench", "updat"], ["Did you mean 'update'"]),
        (["bench", "env", "--rounds", "0"], ["--rounds must be at least 1"]),
        (["bench", "env", "--num-envs", "0"], ["num_envs must be at least 1"]),
        (["bench", "update", "--rounds", "0"], ["--rounds must be at least 1"]),
        (["bench", "train", "--out", "no/where.json"], ["there is no folder no"]),
        (["bench", "train", "--out", "."], ["is a folder"]),
        (["bench", "update", "--env", "smax/3mm"], ["Did you mean 'smax/3m'"]),
        (["bench", "parts", "--rollout.groups", "2"], ["rollout.groups must be 1", "bench train"]),
        (["bench", "parts", "--devices", "1", "--rollout.groups", "3"], ["divisor of rollout"]),
        (["bench", "update", "--preset", "papre"], ["Did you mean 'paper'"]),
        (["trian"], ["Did you mean 'train'", "resume", "eval"]),
        (["eval", "--run-dir", "nowhere"], ["not a run folder", "opspo train"]),
        (["resume", "--run-dir", "nowhere"], ["not a run folder"]),
        (["eval", "--run-dir", "x", "--checkpoint", "lates"], ["Did you mean 'latest'"]),
    ],
)
def test_bad_input_exits_2_says_what_exists_and_writes_nothing(
    arguments, says, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    shown = " ".join(capsys.readouterr().err.replace("│", " ").split())
    for text in says:
        assert text in shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def config_of(*flags):
    """What `opspo train` would train with, on two agents, with ten epochs and two blocks."""
    found = []

    def train(config, **_):
        found.append(config)
        return SimpleNamespace(env_steps=0, run_dir="")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("opspo.training.trainer.train", train)
        main(["train", *SMALL, *flags])
    return found[0]


@pytest.mark.parametrize(
    ("flags", "epochs", "critic_epochs", "extra"),
    [
        ((), 20, 0, 0),
        (("--algorithm.epochs", "7"), 14, 0, 0),
        (("--algorithm.epochs", "7", "--algorithm.extra-critic-passes", "1"), 14, 0, 1),
        (("--algorithm.epochs", "7", "--algorithm.critic-epochs", "3"), 14, 14, 0),
        (("--policy.no-share-parameters",), 10, 0, 1),  # flags say what is to be equal
        (("--policy.no-share-parameters", "--algorithm.critic", "local"), 10, 0, 1),
        (("--policy.no-share-parameters", "--algorithm.extra-critic-passes", "2"), 10, 0, 5),
        (("--preset", "default", "--algorithm.clip", "0.1"), 20, 0, 0),
    ],
)
def test_a_variant_counts_from_what_the_flags_set(flags, epochs, critic_epochs, extra):
    config = config_of("--algo", "mappo", "--variant", "equal_steps", *flags)
    found = config.algorithm
    assert (found.epochs, found.critic_epochs, found.extra_critic_passes) == (
        epochs,
        critic_epochs,
        extra,
    )
    assert config.rollout.num_envs == 8


def test_a_variant_makes_steps_equal_at_the_epochs_of_the_flags(capsys):
    """20 rounds over two blocks in turn are 40 steps, and so are 40 epochs at once."""
    flags = ("--variant", "equal_steps", "--algorithm.epochs", "20")
    happo, mappo = (config_of("--algo", algo, *flags).algorithm for algo in ("happo", "mappo"))
    assert (happo.epochs * happo.blocks, mappo.epochs) == (40, 40)
    assert "equal_steps: algorithm.epochs is 40 instead of 20" in capsys.readouterr().out


def test_a_variant_is_of_a_preset_and_not_of_a_run(tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text(to_json(TrainConfig(env="probe/coordination")))
    with pytest.raises(SystemExit) as stop:
        main(["train", "--from-config", str(path), "--variant", "equal_steps"])
    assert stop.value.code == 2
    assert "Leave one of the two out" in " ".join(capsys.readouterr().err.split())


def test_envs_and_algos(capsys):
    main(["envs"])
    assert {"smax/3m", "probe/memory"} <= set(capsys.readouterr().out.split())
    main(["algos"])
    shown = capsys.readouterr().out
    assert "mappo" in shown and "opspo" in shown


@pytest.mark.slow
def test_train_then_eval_prints_json_alone(tmp_path):
    run = tmp_path / "run"
    trained = call("train", *SMALL, "--run-dir", str(run))
    assert trained.returncode == 0, trained.stderr
    assert "4 greedy episodes" in trained.stdout
    shown = call("eval", "--run-dir", str(run), "--episodes", "3", "--no-greedy")
    outcome = json.loads(shown.stdout)
    assert outcome["episodes"] == len(outcome["returns"]) == 3
    again = call("train", *SMALL, "--run-dir", str(run))
    assert again.returncode == 2 and "--overwrite" in again.stderr


@pytest.mark.slow
def test_a_preset_is_where_the_flags_start(tmp_path):
    run = tmp_path / "run"
    flags = [*SMALL, "--preset", "literal", "--algorithm.order", "random", "--run-dir", str(run)]
    assert call("train", *flags).returncode == 0
    algorithm = json.loads((run / "config.json").read_text())["algorithm"]
    assert algorithm["advantage"] == "td" and algorithm["order"] == "random"


@pytest.mark.slow
def test_default_run_folder_is_named_after_the_run(tmp_path):
    assert call("train", *SMALL, "--seed", "3", cwd=tmp_path).returncode == 0
    assert (tmp_path / "runs" / "probe-coordination-opspo-seed3" / "config.json").is_file()


@pytest.mark.slow
def test_ctrl_c_exits_130(tmp_path):
    import signal
    import time

    run = tmp_path / "run"
    flags = [*SMALL, "--total-steps", "100000000", "--run-dir", str(run)]
    process = subprocess.Popen(
        [sys.executable, "-m", "opspo", "train", *flags], stderr=subprocess.PIPE, text=True
    )
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"opspo resume --run-dir {run}" in error
    assert any(Path(run / "checkpoints").iterdir())
