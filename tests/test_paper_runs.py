"""The paper's settings train, on every one of its tasks: two whole iterations of OPSPO."""

import dataclasses
import json
import math

import pytest

from opspo.config import EvaluationConfig
from opspo.environments.families import FAMILIES
from opspo.presets import preset_config
from opspo.presets.paper import tasks
from opspo.training.trainer import train

# StarCraft II itself cannot be had here; its maps run on SMAX
TASKS = [env for env in tasks() if not env.startswith("smac/")]


@pytest.mark.paper
@pytest.mark.parametrize("env", TASKS)
def test_two_iterations_at_the_papers_settings(env, tmp_path):
    if not FAMILIES[env.split("/")[0]].installed:
        pytest.skip(f"the engine of {env} is not installed")
    config = preset_config("paper", env, "opspo")
    config = dataclasses.replace(
        config,
        total_steps=2 * config.steps_per_iteration,
        run_dir=str(tmp_path / "run"),
        tensorboard=False,
        evaluation=EvaluationConfig(every_steps=0, final_episodes=0),
    )
    result = train(config)
    rows = [json.loads(line) for line in (result.run_dir / "metrics.jsonl").open()]
    assert [row["env_steps"] for row in rows] == [
        config.steps_per_iteration,
        2 * config.steps_per_iteration,
    ]
    numbers = [x for row in rows for x in row.values() if isinstance(x, float)]
    assert all(map(math.isfinite, numbers))
    # the policy moved, and the last agent learnt from data that the others had left behind
    assert rows[1]["kl"][-1] > 0
    assert rows[1]["others_log_ratio_abs"][-1] > 0


def test_the_nine_maps_the_six_robots_and_the_match_are_there():
    assert len(TASKS) == 9 + 6 + 1
