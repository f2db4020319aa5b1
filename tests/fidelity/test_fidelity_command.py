"""`opspo fidelity` on a run: its table, JSON and figure, and what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest

import opspo
from opspo.cli import main
from opspo.fidelity.fidelity_figure import draw_fidelity
from opspo.fidelity.fidelity_table import beyond_baseline, mean_and_half

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = opspo.default_config("probe/memory", "happo")
    config = replace(
        config,
        run_dir=str(folder),
        total_steps=256,
        tensorboard=False,
        rollout=replace(config.rollout, num_envs=8, num_steps=16),
        policy=replace(config.policy, hidden_sizes=(8,)),
        evaluation=replace(config.evaluation, every_steps=0, final_episodes=0),
    )
    opspo.train(config)
    return folder


FEW = ["--batches", "4", "--own-batches", "4", "--most-steps", "2000", "--stages", "1"]


def test_the_command_shows_a_table_and_writes_json_and_a_figure(run, tmp_path, capsys):
    out, figure = tmp_path / "found.json", tmp_path / "found.svg"
    files = ["--json", str(out), "--figure", str(figure)]
    main(["fidelity", str(run), *FEW, *files, "--only", "OPSPO", "--updates", "1", "2"])
    found = json.loads(out.read_text())
    assert (found["env"], found["iteration"], found["env_steps"]) == ("probe/memory", 2, 256)
    assert [case["updates"] for case in found["cases"]] == [1, 2]
    names = ["GAE", "OPSPO", "on-policy"]
    assert list(found["cases"][0]["candidates"]) == names
    shown = " ".join(capsys.readouterr().out.split())
    assert "stage 1 (agent" in shown and all(name in shown for name in names)
    text = figure.read_text()
    assert "OPSPO" in text and "cosine with on-policy" in text


def test_what_does_not_fit_is_told(run, tmp_path, capsys):
    for arguments, told in (
        (["--checkpoint", "best"], "`best` has no optimiser"),
        (["--checkpoint", "7"], "has no checkpoint 7"),
        (["--only", "OPSO"], "Did you mean 'OPSPO'"),
        (["--json", str(tmp_path / "no" / "x.json")], "there is no folder"),
        # at once: a checkpoint that is not there is not even looked for
        (["--figure", str(tmp_path / "x.gif"), "--checkpoint", "7"], "x.gif must end in one of"),
        (["--batches", "1"], "batches must be at least 4"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["fidelity", str(run), *FEW[2:], *arguments])
        assert stop.value.code == 2 and told in capsys.readouterr().err
    with pytest.raises(opspo.ConfigError, match="must end in one of"):
        draw_fidelity({}, tmp_path / "x.gif")


def test_an_interval_is_that_of_independent_batches():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        mean, half = mean_and_half(list(rng.normal(0.3, 2.0, size=40)))
        inside += abs(mean - 0.3) < half
    assert 0.91 < inside / 400 < 0.98
    assert mean_and_half([0.5, None, 0.5]) == (0.5, 0.0)


def test_a_candidate_is_compared_batch_by_batch():
    def case(ours, theirs):
        both = {"OPSPO": ours, "GAE": theirs}
        return {"candidates": {n: {"first": {"returns": {"cosines": c}}} for n, c in both.items()}}

    ours, theirs = [0.5, 0.1, 0.9, None], [0.4, 0.0, 0.8, 0.3]
    mean, half = beyond_baseline(case(ours, theirs), "OPSPO", kind="first", target="returns")
    assert mean == pytest.approx(0.1) and half == pytest.approx(0.0, abs=1e-9)
    assert beyond_baseline(case([0.5], theirs), "OPSPO", kind="first", target="returns") is None
