"""From a state to the end of a run: iterate → log → evaluate → save."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from opspo.checkpoint import Checkpoints
from opspo.devices import one_copy
from opspo.environments.base import EngineError
from opspo.evaluate import Evaluation, make_evaluator
from opspo.iteration import Iteration, ready
from opspo.learner import Learner
from opspo.metrics import Log, metrics_row
from opspo.runs import RunFolder, read_lines
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


class Run:
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
            with ready(self.learner, state) as (begun, iterate):
                state = self._loop(iterate, begun, log)
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
            with self._saved_if_the_engine_fails(state):
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
        with self._saved_if_the_engine_fails(state):
            evaluation = evaluator(one_copy(state.actor), seed)
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
                    outcomes={k: tuple(v) for k, v in row.get("outcomes", {}).items()},
                )
        return self._evaluate(self._evaluator(episodes), seed, state, log)

    def _save(self, state: TrainState) -> None:
        iteration = int(state.iteration)
        if iteration not in self.checkpoints.iterations():
            self.checkpoints.save(iteration, state)

    @contextmanager
    def _saved_if_the_engine_fails(self, state: TrainState) -> Iterator[None]:
        try:
            yield
        except EngineError as error:
            self._save(state)
            raise TrainingError(
                f"{error}\nThe state after iteration {int(state.iteration)} is saved. Mend the "
                f"environment, and go on with: {self._how_to_resume}"
            ) from error

    @property
    def _how_to_resume(self) -> str:
        return f"opspo resume --run-dir {shlex.quote(str(self.folder.path))}"

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
            f"{self._how_to_resume}"
        )


def _score(row: dict[str, Any]) -> tuple[float, float]:
    """By which the best is chosen: win rate, then return."""
    return row.get("win_rate", 0.0), row["mean_return"]
