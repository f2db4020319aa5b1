"""Every run of the studies under benchmarks/ can be configured."""

import dataclasses
import importlib
import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def script(name):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


readings = script("readings")


@pytest.mark.parametrize("task", readings.TASKS)
@pytest.mark.parametrize("name", readings.VARIANTS)
def test_every_variant_builds_where_it_applies_and_changes_something(task, name):
    if not readings.applies(task, name):
        return
    config = readings.configure(task, readings.VARIANTS[name], 0, 1000)
    default = readings.configure(task, {}, 0, 1000)
    assert config.policy.share_parameters == task.startswith("smax")
    assert (config == default) == (name == "default")


@pytest.mark.parametrize("name", ["cheetah", "cheetah_without_gru", "football"])
def test_the_batch_for_the_peers_is_one_of_ours(name, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    torch_side = importlib.import_module("torch_side")
    ours = importlib.import_module("peers.ours")
    case = torch_side.CASES[name]
    settings = torch_side.settings_of(case, torch_side.SIDES["our OPSPO"])
    settings = dataclasses.replace(settings, num_envs=2)
    learner = ours.learner_of(case.env, "opspo", settings)
    assert learner.config.policy.recurrent == case.recurrent
    assert learner.config.algorithm.extra_critic_passes == 1
    state = jax.eval_shape(learner.init, 0)
    trajectory = ours.trajectory_of(learner, state, settings)
    assert np.asarray(trajectory.alive).all()
    if trajectory.available_actions is not None:
        taken = np.take_along_axis(
            trajectory.available_actions, trajectory.action[..., None], axis=-1
        )
        assert taken.all()
