"""The batch on which the peers are timed is one of ours."""

import dataclasses
import importlib
from pathlib import Path

import jax
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


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
