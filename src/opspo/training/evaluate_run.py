"""Playing what a run has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opspo.environments import make_env
from opspo.environments.base import Environment
from opspo.environments.entry import entered, in_its_words
from opspo.evaluate import Evaluation, make_evaluator
from opspo.policy import load_policy
from opspo.run_folder import open_run


def evaluate_run(
    run_dir: str | Path,
    *,
    episodes: int,
    seed: int,
    greedy: bool = True,
    checkpoint: Any = "latest",
    environment: Environment | None = None,
) -> Evaluation:
    """Play episodes with the policy of a run.

    A run on an `environment` of your own has to be given it again.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read; or the environment is
            not the one that it was trained for.
        EngineError: the environment raised; the message is its own traceback.
    """
    _, config = open_run(run_dir)
    scene = environment or make_env(config.env)
    policy = load_policy(run_dir, checkpoint=checkpoint, environment=scene)
    evaluator = make_evaluator(
        entered(scene, agent_id=config.policy.appends_agent_id),
        policy.team,
        episodes=episodes,
        greedy=greedy,
        episode_limit=config.evaluation.episode_limit,
    )
    with in_its_words("An episode failed."):
        return evaluator(policy.params, seed)
