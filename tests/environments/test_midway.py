"""An environment that ceases to fit its specification while something is learned: nothing is lost.

Before its first step that is a `ConfigError`, when there is nothing to lose.
"""

import dataclasses
import json

import gymnasium
import numpy as np
import pytest
from pettingzoo import ParallelEnv
from small import small_config

import opspo
from opspo.config import EvaluationConfig, RolloutConfig
from opspo.environments.entry import entered
from opspo.environments.pettingzoo import from_pettingzoo
from opspo.errors import ConfigError, EngineError, TrainingError

LIMIT = 5


class Changing(ParallelEnv):
    """Does something else once there is a file `now`.

    It makes that itself, once, at its step `at` from when there is a file `count`.
    """

    metadata = {"name": "changing"}  # noqa: RUF012

    def __init__(self, folder, fault, at=None):
        self.possible_agents = ["left", "right"]
        self.folder, self.fault, self.at, self.calls = folder, fault, at, 0

    def observation_space(self, agent):
        return gymnasium.spaces.Box(-1, 1, (4,))

    def action_space(self, agent):
        return gymnasium.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.t = list(self.possible_agents), 0
        if self.broken("nobody"):
            self.agents = []
        return self.seen("reset"), self.all({})

    def step(self, actions):
        self.t += 1
        self.calls += (self.folder / "count").exists()
        if self.calls == self.at and not (self.folder / "once").exists():
            (self.folder / "once").touch()
            (self.folder / "now").touch()
        if self.broken("unknown"):
            self.agents = ["left", "third"]
        end = self.t == LIMIT
        answer = self.seen("step"), self.all(1.0), self.all(end), self.all(False), self.all({})
        if end:
            self.agents = []
        return answer

    def seen(self, when):
        seen = self.all(np.zeros(5 if self.broken(f"size at {when}") else 4, np.float32))
        if self.broken("missing"):
            del seen["right"]
        return seen

    def state(self):
        if self.broken("state"):
            raise ZeroDivisionError("the author's fault in state()")
        return np.zeros(3 if self.broken("size of state") else 2, np.float32)

    def broken(self, fault):
        return fault == self.fault and (self.folder / "now").exists()

    def all(self, value):
        return dict.fromkeys(self.possible_agents, value)


WORDS = {
    "size at step": "agent 'left' observed does not fit its spaces: ValueError: it has 5 numbers",
    "size at reset": "agent 'left' observed does not fit its spaces: ValueError: it has 5 numbers",
    "missing": "agent 'right' is among the agents, but has no observation",
    "unknown": "agents ['third'] are not among its possible_agents",
    "nobody": "agents is empty after reset(), so the episode would be over before it begins",
    "state": "state() raised ZeroDivisionError: the author's fault in state(), in the middle",
    "size of state": "state() returned 3 numbers, and 2 before",
}


@pytest.mark.parametrize("fault", WORDS)
def test_what_does_not_fit_is_a_setting_at_first_and_a_fault_later(fault, tmp_path):
    environment = from_pettingzoo(lambda: Changing(tmp_path, fault))
    action = np.zeros((2, 2), int)

    def play(batch, steps):
        batch.reset()
        for _ in range(steps):
            batch.step(action)

    entry = entered(environment, agent_id=False)
    batch = entry.open(2, 0)
    play(batch, 2)
    (tmp_path / "now").touch()
    # an evaluation opens other environments, and those are looked at for the first time
    for going, steps in (batch, LIMIT - 2), (entry.open(2, 0), 1):
        with pytest.raises(EngineError) as caught:
            play(going, steps)
        said = str(caught.value)
        assert WORDS[fault] in said and said.startswith("The environment no longer fits its spec")
        assert ("test_midway.py" in said and "in state\n" in said) == (fault == "state"), said
        assert "src/opspo" not in said
    with pytest.raises(ConfigError) as caught:
        play(entered(environment, agent_id=False).open(2, 0), 1)
    assert WORDS[fault] in str(caught.value)


def config_of(tmp_path, envs):
    return dataclasses.replace(
        small_config("own", "mappo", epochs=1),
        rollout=RolloutConfig(num_envs=envs, num_steps=16),
        total_steps=envs * 16 * 4,
        run_dir=str(tmp_path / "run"),
        evaluation=EvaluationConfig(every_steps=0, final_episodes=2),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "workers"),
    [("size at step", False), ("size at reset", False), ("size at step", True), ("state", True)],
)
def test_the_state_before_is_saved_and_the_run_goes_on(fault, workers, tmp_path):
    environment = from_pettingzoo(lambda: Changing(tmp_path, fault, at=40), workers=workers)
    (tmp_path / "count").touch()  # what has looked at it so far was no training
    config = config_of(tmp_path, envs=2)
    with pytest.raises(TrainingError) as caught:
        opspo.train(config, environment=environment)
    said = str(caught.value)
    for words in (WORDS[fault], "is saved", "opspo.resume("):
        assert words in said, said
    assert "src/opspo" not in said
    assert ("test_midway.py" in said and "in state\n" in said) == (fault == "state"), said
    assert (config.folder / "checkpoints" / "2").is_dir()
    (tmp_path / "now").unlink()
    result = opspo.resume(config.folder, environment=environment)
    rows = [json.loads(line) for line in (config.folder / "metrics.jsonl").open()]
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4]
    assert result.evaluation.returns == (LIMIT, LIMIT)
