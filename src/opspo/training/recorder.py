"""The files of one run, possibly one of several that are trained together."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import Progress

from opspo.checkpoint import Checkpoints
from opspo.config import TrainConfig
from opspo.config.own import own_names
from opspo.environments.families import FAMILIES
from opspo.evaluate import Evaluation
from opspo.run_folder import RunFolder, read_lines
from opspo.training.metrics import Log
from opspo.types import TrainState


class Recorder:
    """A run's log, checkpoints and evaluations. It computes nothing; results are passed to it."""

    log: Log

    def __init__(self, config: TrainConfig, folder: RunFolder) -> None:
        self.config = config
        self.folder = folder
        self._checkpoints = Checkpoints(
            folder.checkpoints, keep=config.checkpoint.keep, config=config
        )
        self._best = Checkpoints(folder.best, keep=1, config=config)
        self._evaluations = read_lines(folder.evaluations)
        rows = read_lines(folder.metrics)
        self.earlier_seconds: float = rows[-1]["wall_seconds"] if rows else 0.0

    @contextmanager
    def open(self, progress: Progress, *, name: str, done: int) -> Iterator[None]:
        """Open the log after `done` iterations; close it and the checkpoints at the end."""
        self.log = Log(
            self.folder,
            progress,
            name=name,
            total_steps=self.config.total_steps,
            done_steps=done * self.config.steps_per_iteration,
            tensorboard=self.config.tensorboard,
        )
        try:
            yield
        finally:
            self.log.close()
        self._checkpoints.close()
        self._best.close()

    def save(self, state: TrainState) -> None:
        """Write a checkpoint unless there is one of this iteration."""
        iteration = int(state.iteration)
        if iteration not in self._checkpoints.iterations():
            self._checkpoints.save(iteration, state)

    def evaluated(self, evaluation: Evaluation, *, seed: int, state: TrainState) -> None:
        """Log an evaluation of a state, and keep the state if its score is a new best."""
        iteration = int(state.iteration)
        row = {
            "iteration": iteration,
            "env_steps": iteration * self.config.steps_per_iteration,
            "greedy": self.config.evaluation.greedy,
            "seed": seed,
            **evaluation.summary(),
        }
        self.log.evaluation(row)
        # the last iteration may be evaluated twice, and a resumed run may pass it a second time;
        # a best state that was dropped at a resume is not there to be kept
        kept = self._best.iterations()
        rivals = [earlier for earlier in self._evaluations if earlier["iteration"] in kept]
        if iteration not in kept and all(_score(row) > _score(rival) for rival in rivals):
            self._best.save(iteration, state)
        self._evaluations.append(row)

    def evaluation_of(self, iteration: int, *, seed: int) -> Evaluation | None:
        """An earlier evaluation of that iteration with that seed, if there is one."""
        for row in self._evaluations:
            if (row["iteration"], row["seed"]) == (iteration, seed):
                return Evaluation.of_summary(row)
        return None

    @property
    def how_to_resume(self) -> str:
        """The command that resumes the run; the call for your own environment or algorithm."""
        path, given = str(self.folder.path), ""
        if self.config.env.partition("/")[0] not in FAMILIES:
            given += ", environment=..."
        if own_names(self.config):
            given += ", algorithm=..."
        if given:
            return f"opspo.resume({path!r}{given})"
        return f"opspo resume --run-dir {shlex.quote(path)}"

    @property
    def how_to_start_again(self) -> str:
        """The command that trains with these settings but another step size, or the call."""
        if own_names(self.config) or self.config.env.partition("/")[0] not in FAMILIES:
            return "opspo.train with another OptimiserConfig"
        config = shlex.quote(str(self.folder.config))
        return f"opspo train --from-config {config} --optimiser.actor-learning-rate … --run-dir …"


def _score(row: dict[str, Any]) -> tuple[float, float]:
    """The score by which the best state is chosen: win rate, then return."""
    return row.get("win_rate", 0.0), row["mean_return"]
