"""What `train` looks at before it begins, and at an engine's first batches."""

import dataclasses

import numpy as np
import pytest
from broken import in_jax, on_host
from small import small_config

import opspo
from opspo.environments.base import HostBatch
from opspo.environments.checks.first import FirstLook, sound
from opspo.errors import ConfigError


def train(environment, tmp_path):
    config = small_config("own", "mappo", epochs=1)
    config = dataclasses.replace(config, total_steps=512, run_dir=str(tmp_path / "run"))
    return opspo.train(config, environment=environment)


AT_ONCE = [
    "reward of each agent",
    "observation of another size",
    "one mask for all",
    "flag of numbers",
    "outcome left out",
    "Python's if",
    "state of another dtype",
    "no agents",
    "one string of outcomes",
]


@pytest.mark.parametrize("name", AT_ONCE)
def test_training_does_not_begin_in_jax(name, tmp_path):
    case = in_jax.CASES[name]
    with pytest.raises(ConfigError) as caught:
        train(case.make(), tmp_path)
    said = str(caught.value)
    assert all(phrase in said for phrase in case.says), said
    assert "walk cannot be trained on:\n- " in said and "opspo.check_env" in said
    assert not (tmp_path / "run").exists()


def test_nothing_is_run_for_that():
    calls = []

    class Counted(in_jax.Sound):
        def move(self, state, action):
            calls.append(isinstance(state["t"], np.ndarray | int))
            return super().move(state, action)

    environment = Counted()
    assert sound(environment) is environment
    assert calls == [False]  # traced once


def test_a_specification_that_contradicts_itself_opens_no_engine(tmp_path):
    class Unopened(on_host.Sound):
        spec = dataclasses.replace(on_host.SPEC, action_counts=(3, 4), agents=("a",))

        def open(self, num_envs, seed):
            raise AssertionError

    with pytest.raises(ConfigError) as caught:
        train(Unopened(), tmp_path)
    assert "`spec.action_counts` is (3, 4)" in str(caught.value)
    assert "`spec.agents` names 1 agents" in str(caught.value)
    assert not (tmp_path / "run").exists()


FIRST_BATCHES = {
    "reward of each agent": on_host.answering(lambda batch, step: {"reward": batch.place}),
    "reward in a list": on_host.answering(lambda batch, step: {"reward": step.reward.tolist()}),
    "state with an axis of agents": on_host.seeing(
        lambda batch, seen: {"state": np.stack([seen.state] * 2, 1)}
    ),
    "numbers as flags": on_host.answering(
        lambda batch, step: {"terminated": step.terminated.astype(int)}
    ),
    "one environment's flags": on_host.answering(
        lambda batch, step: {"truncated": step.truncated[0]}
    ),
}


@pytest.mark.parametrize("name", FIRST_BATCHES)
def test_an_engines_first_batches_are_compared_with_the_specification(name, tmp_path):
    with pytest.raises(ConfigError, match="rooms cannot be trained on") as caught:
        train(FIRST_BATCHES[name](), tmp_path)
    assert "16" in str(caught.value) or "boolean" in str(caught.value)


def test_a_sound_one_trains(tmp_path):
    assert train(on_host.Sound(), tmp_path).env_steps == 512


def test_the_first_look_changes_nothing_and_is_only_the_first():
    batch = FirstLook(on_host.Batch(3, 0), on_host.SPEC, 3)
    own: HostBatch = on_host.Batch(3, 0)
    np.testing.assert_array_equal(batch.reset().observation, own.reset().observation)
    action = np.ones((3, 2), int)
    for _ in range(2):
        step, following = batch.step(action)
        expected, _ = own.step(action)
        np.testing.assert_array_equal(step.reward, expected.reward)
        np.testing.assert_array_equal(following.state, expected.observation.state)
    assert batch.lost_episodes == 0
    wrong = on_host.answering(lambda batch, step: {"reward": batch.place})().open(3, 0)
    later = FirstLook(own, on_host.SPEC, 3)
    later.step(action)
    later._batch = wrong
    wrong.reset()
    later.step(action)  # every further step would cost time
