"""The run around the learner: collect → update → log → evaluate → checkpoint."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from opspo.checkpoint import Checkpoints
from opspo.config import TrainConfig
from opspo.environments import make_env
from opspo.environments.base import Environment
from opspo.evaluate import Evaluation, make_evaluator
from opspo.iteration import Iteration, ready
from opspo.learner import Learner, make_learner
from opspo.metrics import Log, metrics_row
from opspo.policy import load_policy
from opspo.runs import RunError, RunFolder, create, cut_lines, hold, open_run, read_lines
from opspo.stopping import stop_flag
from opspo.types import TrainState

EVALUATION_SEED = 2**20
"""Added to the run's seed for the evaluations on the way: the same episodes each time."""


class TrainingError(RuntimeError):
    """Training met a quantity it must not go on with; the last good state is saved."""


class Interrupted(RuntimeError):
    """Training was asked to stop, and saved its state."""


@dataclass(frozen=True)
class Result:
    """What a finished run came to."""

    run_dir: Path
    env_steps: int
    evaluation: Evaluation | None
    """The last one; None if the configuration asks for none"""


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
        learner = make_learner(config, environment or make_env(config.env))
        folder = create(config, overwrite=overwrite)
        spec = dataclasses.asdict(learner.environment.spec)
        folder.environment.write_text(json.dumps(spec, indent=2) + "\n")
        with hold(folder):
            state = jax.jit(learner.init, static_argnums=0)(config.seed)
            return _Run(learner, folder, console or Console(), stopped).go(state)


def resume(
    run_dir: str | Path,
    *,
    environment: Environment | None = None,
    checkpoint: int | None = None,
    console: Console | None = None,
) -> Result:
    """Go on from a checkpoint, by default the latest, exactly as if there had been no stop.

    Engines outside of JAX are not part of a checkpoint: there, new episodes begin. A run on an
    `environment` of your own has to be given it again.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read.
        TrainingError, Interrupted: as `train`.
    """
    folder, config = open_run(run_dir)
    with stop_flag() as stopped, hold(folder):
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
        return _Run(learner, folder, console or Console(), stopped).go(state)


class _Run:
    """One process's share of a run: from a state to the end."""

    def __init__(
        self,
        learner: Learner,
        folder: RunFolder,
        console: Console,
        stopped: Callable[[], bool],
    ) -> None:
        self.config = learner.config
        self.learner = learner
        self.folder = folder
        self.console = console
        self.stopped = stopped
        self.checkpoints = Checkpoints(folder.checkpoints, keep=self.config.checkpoint.keep)
        self.best = Checkpoints(folder.best, keep=1)
        self.evaluations = read_lines(folder.evaluations)

    def go(self, state: TrainState) -> Result:
        """Train to the end, and evaluate there."""
        config, done = self.config, int(state.iteration)
        log = Log(
            self.folder,
            total_steps=config.total_steps,
            done_steps=done * config.steps_per_iteration,
            tensorboard=config.tensorboard,
            console=self.console,
        )
        with log:
            with ready(self.learner, state) as iterate:
                state = self._loop(iterate, state, log)
            self._save(state)
            evaluation = self._final_evaluation(state, log)
        self.checkpoints.close()
        self.best.close()
        steps = config.iterations * config.steps_per_iteration
        return Result(self.folder.path, steps, evaluation)

    def _loop(self, iterate: Iteration, state: TrainState, log: Log) -> TrainState:
        config = self.config
        evaluator = self._evaluator(config.evaluation.episodes)
        rows = read_lines(self.folder.metrics)
        earlier = rows[-1]["wall_seconds"] if rows else 0.0
        begin = last = time.perf_counter()
        for iteration in range(int(state.iteration) + 1, config.iterations + 1):
            if self.stopped():
                self._interrupt(state)
            state, metrics = iterate(state)
            metrics = jax.device_get(metrics)
            self._check(state, metrics["faults"], iteration)
            now = time.perf_counter()
            row = metrics_row(
                metrics,
                iteration=iteration,
                env_steps=iteration * config.steps_per_iteration,
                wall_seconds=earlier + now - begin,
                steps_per_second=config.steps_per_iteration / (now - last),
                has_win=self.learner.environment.spec.has_win,
            )
            log.iteration(row)
            if self._due(iteration, config.evaluation.every_steps):
                self._evaluate(evaluator, config.seed + EVALUATION_SEED, state, log)
            if self._due(iteration, config.checkpoint.every_steps):
                self._save(state)
            last = time.perf_counter()
        return state

    def _due(self, iteration: int, every_steps: int) -> bool:
        """Whether this iteration passed a multiple of `every_steps`."""
        if every_steps == 0:
            return False
        steps = self.config.steps_per_iteration
        return iteration * steps // every_steps > (iteration - 1) * steps // every_steps

    def _evaluator(self, episodes: int) -> Callable[[Any, int], Evaluation]:
        return make_evaluator(
            self.learner.environment,
            self.learner.team,
            episodes=episodes,
            greedy=self.config.evaluation.greedy,
        )

    def _evaluate(
        self,
        evaluator: Callable[[Any, int], Evaluation],
        seed: int,
        state: TrainState,
        log: Log,
    ) -> Evaluation:
        evaluation = evaluator(state.actor, seed)
        iteration = int(state.iteration)
        where = {
            "iteration": iteration,
            "env_steps": iteration * self.config.steps_per_iteration,
            "greedy": self.config.evaluation.greedy,
            "seed": seed,
        }
        if not all(map(math.isfinite, evaluation.returns)):
            raise TrainingError(
                f"The evaluation after iteration {iteration} has a return that is not finite. "
                f"The checkpoints in {self.folder.checkpoints} are untouched."
            )
        row = {**where, **evaluation.summary()}
        log.evaluation(row)
        if all(_score(row) > _score(earlier) for earlier in self.evaluations):
            self._keep_as_best(iteration, state)
        self.evaluations.append(row)
        return evaluation

    def _keep_as_best(self, iteration: int, state: TrainState) -> None:
        # the last iteration is evaluated twice, and a resumed run may come by a second time
        if iteration not in self.best.iterations():
            self.best.save(iteration, state)

    def _final_evaluation(self, state: TrainState, log: Log) -> Evaluation | None:
        """The evaluation at the end; one that was done before is not repeated."""
        episodes, seed = self.config.evaluation.final_episodes, self.config.seed
        if episodes == 0:
            return None
        for row in self.evaluations:
            if (row["iteration"], row["seed"]) == (self.config.iterations, seed):
                wins = row.get("wins")
                return Evaluation(
                    returns=tuple(row["returns"]),
                    lengths=tuple(row["lengths"]),
                    wins=None if wins is None else tuple(wins),
                )
        return self._evaluate(self._evaluator(episodes), seed, state, log)

    def _save(self, state: TrainState) -> None:
        iteration = int(state.iteration)
        if iteration not in self.checkpoints.iterations():
            self.checkpoints.save(iteration, state)

    def _check(self, state: TrainState, faults: dict[str, Any], iteration: int) -> None:
        """Stop at a fault. The state is the one before the iteration: save it."""
        broken = [name for name, flag in faults.items() if flag]
        if not broken:
            return
        self._save(state)
        what = ", ".join(
            "an agent without any available action"
            if name == "available_actions"
            else f"{name} is not finite"
            for name in broken
        )
        raise TrainingError(
            f"Iteration {iteration}: {what}. The state after iteration {iteration - 1} is saved "
            f"in {self.folder.checkpoints}. Look at the last lines of {self.folder.metrics}; to "
            "start again with a smaller step size: opspo train --from-config "
            f"{self.folder.config} --optimiser.actor-learning-rate … --run-dir …"
        )

    def _interrupt(self, state: TrainState) -> None:
        self._save(state)
        raise Interrupted(
            f"Stopped after iteration {int(state.iteration)}; the state is saved. Go on with: "
            f"opspo resume --run-dir {shlex.quote(str(self.folder.path))}"
        )


def _score(row: dict[str, Any]) -> tuple[float, float]:
    """By which the best is chosen: win rate, then return."""
    return row.get("win_rate", 0.0), row["mean_return"]


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
