"""Runs that an earlier version left behind: they resume, play and load as they did then.

`data/format1` was written before config.json had a format: two runs that were stopped after four of
six iterations, and in expected.json what that version then did with them.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from reach import Reach
from small import small_config

import opspo
from opspo.cli import main
from opspo.config import from_json
from opspo.environments import make_env
from opspo.environments.identity import stored_spec
from opspo.errors import ConfigError, RunError
from opspo.run_folder import RunFolder
from opspo.training.evaluate_run import evaluate_run
from opspo.training.resuming import resume

pytestmark = pytest.mark.slow

OLD = Path(__file__).parent / "data" / "format1"
EXPECTED = json.loads((OLD / "expected.json").read_text())


@pytest.fixture(params=EXPECTED)
def old(request, tmp_path):
    """A copy of a run, its environment, and what is expected of it."""
    shutil.copytree(OLD / request.param, tmp_path / "run")
    environment = Reach() if request.param == "reach" else make_env("probe/credit")
    return tmp_path / "run", environment, EXPECTED[request.param]


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5)


def test_it_acts_as_then(old):
    run, environment, expected = old
    policy = opspo.load_policy(run, environment=environment)
    seen = np.array(expected["observations"])
    close(policy.act(seen), expected["greedy"])
    close(policy.act(seen, greedy=False, key=jax.random.PRNGKey(1)), expected["sampled"])


def test_it_plays_as_then(old):
    run, environment, expected = old
    played = evaluate_run(run, episodes=3, seed=5, greedy=False, environment=environment)
    close(played.returns, expected["returns"])


def test_it_goes_on_as_then(old):
    run, environment, expected = old
    result = resume(run, environment=environment)
    params = jax.tree.leaves(opspo.load_policy(run).params)
    close(np.concatenate([x.ravel() for x in params]), expected["resumed"]["actor"])
    close(result.evaluation.returns, expected["resumed"]["returns"])


def test_it_extends_and_keeps_its_own_settings(old, capsys):
    run, environment, _ = old
    result = resume(run, environment=environment, total_steps=112)
    assert result.env_steps == 112
    written = json.loads((run / "config.json").read_text())
    assert (written["total_steps"], written["format"]) == (112, opspo.config.versions.FORMAT)
    assert written["policy"]["running_normalisation"] is False


def test_on_the_command_line(tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(OLD / "credit", run)
    main(["eval", "--run-dir", str(run), "--episodes", "3", "--seed", "5", "--no-greedy"])
    close(json.loads(capsys.readouterr().out)["returns"], EXPECTED["credit"]["returns"])
    main(["resume", "--run-dir", str(run)])
    assert "Done: 96 steps" in capsys.readouterr().out


def test_what_it_did_not_keep_is_compared_with_nothing(old):
    """It knew neither names nor each agent's own actions; its sizes are compared."""
    run, _, _ = old
    stored = stored_spec(RunFolder(run))
    assert stored.unknown == {
        "agents",
        "action_sizes",
        "action_counts",
        "decision_counts",
    }
    sizes = {"observation_size": stored.spec.observation_size, "state_size": stored.spec.state_size}
    sizes |= {"num_actions": stored.spec.num_actions, "action_size": stored.spec.action_size}
    named = Reach(**sizes, agents=("a", "b"), action_sizes=(1, 2), action_counts=(1, 2))
    opspo.load_policy(run, environment=named)
    with pytest.raises(RunError, match="state_size was"):
        opspo.load_policy(run, environment=Reach(**sizes | {"state_size": 99}))


def test_a_rule_for_new_runs_does_not_keep_an_old_one_from_being_read(tmp_path, monkeypatch):
    """Of before there was one: networks so narrow that a layer norm leaves an order of two."""
    run = tmp_path / "run"
    config = dataclasses.replace(small_config("probe/credit"), total_steps=512, run_dir=str(run))
    narrow = dataclasses.replace(config.policy, hidden_sizes=(2,))
    config = dataclasses.replace(config, policy=narrow)
    with pytest.raises(ConfigError, match="hidden_sizes must be widths of at least 4 where policy"):
        opspo.train(config)
    assert not run.exists()
    with monkeypatch.context() as patch:
        patch.setattr("opspo.training.trainer.check_inputs", lambda config, spec: None)
        opspo.train(config)
    data = json.loads((run / "config.json").read_text())
    del data["format"], data["opspo"]
    (run / "config.json").write_text(json.dumps(data))
    assert opspo.load_policy(run).team.memory_size == 0
    assert len(evaluate_run(run, episodes=2, seed=0).returns) == 2
    assert resume(run, total_steps=768).env_steps == 768
    again = from_json((run / "config.json").read_text())
    with pytest.raises(ConfigError, match="hidden_sizes must be widths of at least 4 where policy"):
        opspo.train(dataclasses.replace(again, run_dir=str(tmp_path / "again")))


def test_changed_networks_are_said_by_their_arrays(old):
    """Such a checkpoint does not say which settings it was written with."""
    run, environment, _ = old
    text = (run / "config.json").read_text()
    (run / "config.json").write_text(text.replace("[\n      4\n", "[\n      5\n"))
    says = r"Dense_0\.kernel has shape .*4, \d\], but .*5, \d\] is expected \(and \d+ more\)"
    with pytest.raises(RunError, match=says):
        resume(run, environment=environment)
    with pytest.raises(RunError, match=says):
        opspo.load_policy(run)
