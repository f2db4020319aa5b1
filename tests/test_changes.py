"""Settings that were edited between two parts of a run: what breaks it is said by name."""

import dataclasses
import json
import shutil

import pytest
from small import small_config

import opspo
from opspo.algorithms import HAPPOConfig, OPSPOConfig
from opspo.config import OptimiserConfig, PolicyConfig, RolloutConfig, TrainConfig, changes
from opspo.errors import RunError
from opspo.run_folder import read_lines
from opspo.training.resuming import resume
from opspo.training.trainer import train


def test_changes_are_found_at_any_depth():
    was = TrainConfig(policy=PolicyConfig(hidden_sizes=(32,)))
    density = dataclasses.replace(was.algorithm.density, samples=7)
    now = TrainConfig(algorithm=OPSPOConfig(density=density), seed=4)
    found = [(change.name, change.was, change.now) for change in changes.changes(was, now)]
    assert found == [
        ("seed", 0, 4),
        ("policy.hidden_sizes", (32,), (64, 64)),
        ("algorithm.density.samples", 200, 7),
    ]


def test_settings_of_another_algorithm_are_changes_too():
    now = TrainConfig(algo="happo", algorithm=HAPPOConfig())
    names = {change.name for change in changes.changes(TrainConfig(), now)}
    assert {"algo", "algorithm.order", "algorithm.clip_range"} <= names


def test_what_breaks_a_run_and_what_breaks_a_policy():
    was = TrainConfig()
    now = TrainConfig(
        env="smax/8m",
        seed=1,
        total_steps=9,
        rollout=RolloutConfig(num_envs=64),
        policy=PolicyConfig(activation="tanh", chunk_length=5, output_gain=1.0),
        optimiser=OptimiserConfig(actor_learning_rate=1.0),
        algorithm=OPSPOConfig(critic="local", clip=0.3),
    )
    found = changes.changes(was, now)
    broken = [change.name for change in changes.breaking(found)]
    assert broken == ["env", "seed", "rollout.num_envs", "policy.activation", "algorithm.critic"]
    alone = [change.name for change in changes.breaking(found, policy_alone=True)]
    assert alone == ["policy.activation"]
    assert "total_steps" not in [change.name for change in changes.shaping(found)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("changes") / "run"
    train(dataclasses.replace(small_config("probe/credit"), run_dir=str(folder), total_steps=1024))
    return folder


@pytest.fixture
def edit(run, tmp_path):
    """Copy the run, and change a setting in its config.json."""

    def edit(name, value):
        folder = tmp_path / "edited"
        shutil.copytree(run, folder)
        data = json.loads((folder / "config.json").read_text())
        *sections, last = name.split(".")
        part = data
        for section in sections:
            part = part[section]
        assert part[last] != value
        part[last] = value
        (folder / "config.json").write_text(json.dumps(data))
        return folder

    return edit


def files(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("rollout.num_envs", 32, "was 16 when checkpoint 4 was written, and is 32 now"),
        ("rollout.num_steps", 8, "was 16 when checkpoint 4 was written, and is 8 now"),
        ("policy.hidden_sizes", [32, 8], r"was \[32\] when checkpoint 4 .*, and is \[32, 8\] now"),
        ("policy.activation", "tanh", 'was "relu" when checkpoint 4 .*, and is "tanh" now'),
        ("policy.share_parameters", False, "was true when checkpoint 4 .*, and is false now"),
        ("policy.recurrent", True, "was false when checkpoint 4 .*, and is true now"),
        ("algorithm.critic", "local", 'was "central" when checkpoint 4 .*, and is "local" now'),
        ("seed", 9, "was 0 when checkpoint 4 was written, and is 9 now"),
    ],
)
def test_a_resumed_run_names_the_setting_and_changes_nothing(edit, name, value, says):
    folder = edit(name, value)
    before = files(folder)
    with pytest.raises(RunError, match=rf"config\.json was changed: {name} {says}.*--init-from"):
        resume(folder)
    assert files(folder) == before


@pytest.mark.slow
def test_every_broken_setting_is_named(edit, run):
    folder = edit("rollout.num_envs", 32)
    text = (folder / "config.json").read_text().replace('"relu"', '"tanh"')
    (folder / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"num_envs was 16 .*; policy\.activation was \"relu\""):
        resume(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimiser.actor_learning_rate", 1e-3),
        ("algorithm.clip", 0.3),
        ("algorithm.state_weight", "none"),
        ("evaluation.final_episodes", 4),
        ("checkpoint.keep", 9),
        ("value.clip", 0.5),
        ("total_steps", 1280),
    ],
)
def test_other_settings_may_change(edit, name, value):
    folder = edit(name, value)
    resume(folder, checkpoint=4)
    assert read_lines(folder / "metrics.jsonl")[-1]["iteration"] >= 4


@pytest.mark.slow
def test_a_state_weight_that_learns_does_not_appear_on_the_way(edit):
    """It is no setting that always breaks: here arrays are missing, and the setting is named."""
    folder = edit("algorithm.state_weight", "linear")
    data = json.loads((folder / "config.json").read_text())
    data["algorithm"]["density"]["features"] = "fourier"
    (folder / "config.json").write_text(json.dumps(data))
    says = r'state_weight.* is missing.*algorithm\.state_weight was "stepwise" when .*"linear" now'
    with pytest.raises(RunError, match=says):
        resume(folder)


@pytest.mark.slow
def test_a_policy_alone_needs_its_networks_only(edit):
    opspo.load_policy(edit("rollout.num_envs", 32))


@pytest.mark.slow
def test_a_policy_of_other_networks_is_refused(edit):
    """Its arrays would fit, and mean something else."""
    folder = edit("policy.layer_norm", False)
    with pytest.raises(RunError, match=r"policy\.layer_norm was true when .*, and is false now"):
        opspo.load_policy(folder)


@pytest.mark.slow
def test_the_best_checkpoint_has_its_settings_too(edit):
    folder = edit("policy.activation", "tanh")
    with pytest.raises(RunError, match=r"policy\.activation was"):
        opspo.load_policy(folder, checkpoint="best")
