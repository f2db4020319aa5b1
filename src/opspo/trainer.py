"""Starting a run, going on with one, and playing what it learnt."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from opspo.checkpoint import Checkpoints
from opspo.config import TrainConfig
from opspo.devices import claim
from opspo.environments import make_env
from opspo.environments.base import Environment
from opspo.evaluate import Evaluation, make_evaluator
from opspo.learner import make_learner
from opspo.loop import Interrupted, Result, Run, TrainingError
from opspo.policy import load_policy
from opspo.runs import RunError, create, cut_lines, hold, open_run
from opspo.stopping import stop_flag

__all__ = ["Interrupted", "Result", "TrainingError", "evaluate_run", "resume", "train"]


def train(
    config: TrainConfig,
    *,
    environment: Environment | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> Result:
    """Train from the start, on the environment of the config's id or on one of your own.

    With your own, `config.env` is no more than its name.

    Raises:
        ConfigError: the environment or a setting does not exist. Nothing is written.
        RunError: the run folder exists, or cannot be written.
        TrainingError: a reward, loss or parameter is not finite.
        Interrupted: by Ctrl-C or SIGTERM.
    """
    with stop_flag() as stopped:
        claim(config.devices)
        learner = make_learner(config, environment or make_env(config.env))
        folder = create(config, overwrite=overwrite)
        spec = dataclasses.asdict(learner.environment.spec)
        folder.environment.write_text(json.dumps(spec, indent=2) + "\n")
        with hold(folder):
            state = jax.jit(learner.init, static_argnums=0)(config.seed)
            return Run(learner, folder, console or Console(), stopped).go(state)


def resume(
    run_dir: str | Path,
    *,
    environment: Environment | None = None,
    checkpoint: int | None = None,
    devices: int | None = None,
    console: Console | None = None,
) -> Result:
    """Go on from a checkpoint, by default the latest, exactly as if there had been no stop.

    Engines outside of JAX are not part of a checkpoint: there, new episodes begin. A run on an
    `environment` of your own has to be given it again. On another number of `devices` sums are
    added up in another order, so that the run is the same only up to rounding.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read.
        TrainingError, Interrupted: as `train`.
    """
    folder, config = open_run(run_dir)
    if devices is not None:
        config = dataclasses.replace(config, devices=devices)
    with stop_flag() as stopped, hold(folder):
        claim(config.devices)
        learner = make_learner(config, environment or make_env(config.env))
        checkpoints = Checkpoints(folder.checkpoints)
        found = checkpoints.iterations()
        if not found and checkpoint is None:
            raise RunError(
                f"{folder.path} has no checkpoint to go on from. Start again with `opspo train "
                f"--from-config {folder.config}`, --overwrite, and the same --run-dir."
            )
        iteration = found[-1] if checkpoint is None else checkpoint
        template = jax.eval_shape(learner.init, config.seed)
        state = checkpoints.restore(iteration, template)
        checkpoints.delete_after(iteration)
        checkpoints.close()
        cut_lines(folder.metrics, last_iteration=iteration)
        cut_lines(folder.evaluations, last_iteration=iteration)
        return Run(learner, folder, console or Console(), stopped).go(state)


def evaluate_run(
    run_dir: str | Path,
    *,
    episodes: int,
    seed: int,
    greedy: bool = True,
    checkpoint: Any = "latest",
) -> Evaluation:
    """Play episodes with the policy of a run.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read.
    """
    _, config = open_run(run_dir)
    policy = load_policy(run_dir, checkpoint=checkpoint)
    evaluator = make_evaluator(make_env(config.env), policy.team, episodes=episodes, greedy=greedy)
    return evaluator(policy.params, seed)
