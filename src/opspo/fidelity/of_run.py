"""The fidelity of estimators at a checkpoint of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax

from opspo.checkpoint import Checkpoints
from opspo.environments import make_env
from opspo.environments.base import Environment
from opspo.environments.entry import in_its_words
from opspo.errors import RunError
from opspo.fidelity.candidates import Candidate, candidates
from opspo.fidelity.extent import Extent
from opspo.fidelity.measurement import Told, measure_state
from opspo.run_folder import open_run, package_versions
from opspo.training.assembly import OwnAlgorithm, make_learner, with_algorithm
from opspo.training.learner import Learner
from opspo.types import TrainState


def measure_fidelity(
    run_dir: str | Path,
    *,
    checkpoint: int | Literal["latest"] = "latest",
    chosen: Mapping[str, Candidate] | None = None,
    extent: Extent | None = None,
    seed: int = 0,
    environment: Environment | None = None,
    algorithm: OwnAlgorithm | None = None,
    told: Told = lambda what, share: None,
) -> dict[str, Any]:
    """How near each estimator's direction comes to the one that on-policy data give.

    From a checkpoint, the agents before a stage move by the algorithm's own update. A long stream
    of steps with the moved policies gives the reference: the policy gradient of the stage's agents.
    Then batches of the run's size, collected by the old policies, go through each estimator.

    Args:
        run_dir: the run's folder.
        checkpoint: an iteration, or `latest`.
        chosen: the estimators by name; by default `candidates.candidates`.
        extent: how much is measured.
        seed: of all streams.
        environment: for a run on one of your own; by default the run's.
        algorithm: the run's, if it is your own.
        told: called with what is being done, and its share that is done.

    Returns:
        Plain data: the run, the checkpoint, `cases` (`measurement.Case.summary`), versions.

    Raises:
        ConfigError: the run's algorithm is not sequential, or a number is out of range.
        EngineError: the environment raised.
        RunError: the run or the checkpoint cannot be read.
    """
    folder, config = open_run(run_dir)
    config = with_algorithm(config, algorithm)
    learner = make_learner(config, environment or make_env(config.env), algorithm)
    iteration, state = _restored(folder.checkpoints, learner.init, config.seed, checkpoint)
    extent = extent or Extent()
    with in_its_words("The environment failed."):
        cases = measure_state(
            learner, state, chosen or candidates(config), extent, seed=seed, told=told
        )
    return _said(learner, iteration) | {"cases": cases, "versions": package_versions()}


def _said(learner: Learner, iteration: int) -> dict[str, Any]:
    config = learner.config
    return {
        "env": config.env,
        "algo": config.algo,
        "shared": config.policy.share_parameters,
        "agents": learner.team.num_members,
        "seed": config.seed,
        "iteration": iteration,
        "env_steps": iteration * config.steps_per_iteration,
        "batch_steps": config.steps_per_iteration,
        "gamma": config.algorithm.gamma,
        "gae_lambda": config.algorithm.gae_lambda,
    }


def _restored(
    path: Path, init: Any, seed: int, checkpoint: int | Literal["latest"]
) -> tuple[int, TrainState]:
    saved = Checkpoints(path)
    try:
        known = saved.iterations()
        if not known:
            raise RunError(f"{path} has no checkpoint yet: let the run train until its first one.")
        iteration = known[-1] if checkpoint == "latest" else checkpoint
        return iteration, saved.restore(iteration, jax.eval_shape(init, seed))
    finally:
        saved.close()
