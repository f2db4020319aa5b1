"""Continuing a run: from where, on which environment, and up to which end.

The end of a run affects what comes before it in one respect: annealed step sizes fall to 0 there.
With a new end, the schedule is stretched over the whole new run. After k of N' iterations a step
size is 1 - k / N' of its initial value, as in a run that had N' from the start; but the k
iterations already done were annealed towards N. So without annealing, an extended run equals, bit
for bit, one that had the new end from the start; with annealing, it differs. `extended.jsonl`
records each change, so that learning curves can be interpreted.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from opspo.checkpoint import Checkpoints
from opspo.config import Processes, TrainConfig, to_json
from opspo.config.changes import changes
from opspo.devices import claim
from opspo.environments import make_env
from opspo.environments.base import Environment
from opspo.environments.entry import as_made
from opspo.environments.identity import check_same, stored_spec
from opspo.errors import RunError
from opspo.run_folder import (
    RunFolder,
    cut_lines,
    hold,
    how_to_go_on,
    open_run,
    read_lines,
    replace_text,
    write_lines,
)
from opspo.training.assembly import (
    OwnAlgorithm,
    check_own_algorithm,
    make_learner,
    with_algorithm,
)
from opspo.training.beginning import beginning
from opspo.training.learner import Learner
from opspo.training.loop import Result, Training
from opspo.training.multiprocess import all_or_none, check_engine, own_folder
from opspo.training.recorder import Recorder
from opspo.training.signals import stop_flag
from opspo.types import TrainState


@dataclasses.dataclass(frozen=True)
class _Again:
    """What a run is resumed with besides its settings."""

    environment: Environment | None
    algorithm: OwnAlgorithm | None
    checkpoint: int | None
    total_steps: int | None


def resume(
    run_dir: str | Path,
    *,
    environment: Environment | None = None,
    algorithm: OwnAlgorithm | None = None,
    checkpoint: int | None = None,
    devices: int | None = None,
    total_steps: int | None = None,
    console: Console | None = None,
    processes: Processes | None = None,
) -> Result:
    """Continue from a checkpoint, exactly as if the run had not stopped.

    Engines outside of JAX are not part of a checkpoint: there, new episodes begin.

    Args:
        run_dir: the run's folder.
        environment, algorithm: needed again by a run on one of your own; see `train`.
        checkpoint: an iteration; by default the latest.
        devices: another number than before. Sums are then added up in another order, so that the
            run is the same only up to rounding.
        total_steps: another end than before (`resuming` has the rules).
        console: where progress is shown.
        processes: as in `train`; all of them have to see the folder.

    Raises:
        ConfigError: the algorithm is your own, and was not given.
        RunError: there is no such run or checkpoint, or it cannot be read; the environment or the
            settings are no longer those that it was trained with; or more than `total_steps` are
            done.
        TrainingError, Interrupted: as `train`.
    """
    whole, config = open_run(run_dir)
    if devices is not None:
        config = dataclasses.replace(config, devices=devices)
    again = _Again(environment, algorithm, checkpoint, total_steps)
    with own_folder(whole.path, processes) as path, stop_flag() as stopped, ExitStack() as held:
        claim(config.devices, processes)
        folder = RunFolder(path)
        with all_or_none():  # no checkpoint is taken away before all have their copy
            if path != whole.path:
                shutil.copytree(whole.path, path)
                config = dataclasses.replace(config, run_dir=str(path))
            held.enter_context(hold(folder))
        training, state = _continued(folder, config, again, console or Console(), processes)
        result = training(stopped).go([state])[0]
    return dataclasses.replace(result, run_dir=whole.path)


def _continued(
    folder: RunFolder,
    config: TrainConfig,
    again: _Again,
    console: Console,
    processes: Processes | None,
) -> tuple[Callable[[Callable[[], bool]], Training], TrainState]:
    """The training of a run that continues, which takes a flag to stop, and its state."""
    iteration = iteration_to_continue_from(folder, again.checkpoint)
    before = with_algorithm(config, again.algorithm)
    config = extended(before, again.total_steps, iteration=iteration)
    environment = again.environment or make_env(config.env)
    learner = make_learner(config, environment, again.algorithm)
    check_engine(learner.environment, config.env, processes)
    check_environment(folder, as_made(learner.environment), console)
    check_own_algorithm(learner)  # before anything is dropped
    state = _restored(folder, learner, iteration)
    note_algorithm(folder, again.algorithm, console)
    note_extension(folder, before, config, iteration=iteration, console=console)
    return partial(Training, learner, [Recorder(config, folder)], console), state


def _restored(folder: RunFolder, learner: Learner, iteration: int) -> TrainState:
    """The state of a checkpoint; what came after it is dropped."""
    with beginning("Nothing is changed: fix that, and resume again."):
        template = jax.eval_shape(learner.init, learner.config.seed)
    checkpoints = Checkpoints(folder.checkpoints, config=learner.config)
    state: TrainState = checkpoints.restore(iteration, template)
    checkpoints.delete_after(iteration)
    checkpoints.close()
    for lines in (folder.metrics, folder.evaluations):
        cut_lines(lines, last_iteration=iteration)
    _drop_later_best(folder, learner, iteration, state)
    return state


def _drop_later_best(
    folder: RunFolder, learner: Learner, iteration: int, state: TrainState
) -> None:
    """Drop a best state of what is dropped: with an engine's other episodes it may not come again.

    The state of the checkpoint takes its place if it was evaluated.
    """
    best = Checkpoints(folder.best, keep=1, config=learner.config)
    best.delete_after(iteration)
    evaluated = any(row["iteration"] == iteration for row in read_lines(folder.evaluations))
    if evaluated and not best.iterations():
        best.save(iteration, state)
    best.close()


def iteration_to_continue_from(folder: RunFolder, checkpoint: int | None) -> int:
    """The iteration of the given checkpoint, by default of the latest.

    Raises:
        RunError: there is no such checkpoint.
    """
    checkpoints = Checkpoints(folder.checkpoints)
    found = checkpoints.iterations()
    if checkpoint is not None:
        checkpoints.check(checkpoint)
        return checkpoint
    if not found:
        again = f", --init-from {shlex.quote(_source(folder))}" if folder.init.is_file() else ""
        raise RunError(
            f"{folder.path} has no checkpoint to continue from. Start again with `opspo train "
            f"--from-config {folder.config}`{again}, --overwrite, and the same --run-dir."
        )
    return found[-1]


def _source(folder: RunFolder) -> str:
    return str(json.loads(folder.init.read_text())["run"])


def check_environment(folder: RunFolder, environment: Environment, console: Console) -> None:
    """Check that the environment is the run's; report if the engine's version is different.

    Raises:
        RunError: the environment is not the one that the run was trained for, or the folder has no
            readable record of it.
    """
    stored = stored_spec(folder)
    check_same(folder, environment, stored)
    if stored.spec.engine != environment.spec.engine:
        console.print(
            f"The engine was {stored.spec.engine}, and is {environment.spec.engine} now.",
            markup=False,
        )


def extended(config: TrainConfig, total_steps: int | None, *, iteration: int) -> TrainConfig:
    """The settings with a new end, for a run that has done `iteration` iterations.

    Raises:
        RunError: it has already done more than that.
        ConfigError: `total_steps` is not positive.
    """
    if total_steps is None:
        return config
    longer = dataclasses.replace(config, total_steps=total_steps)
    if longer.iterations < iteration:
        done = iteration * config.steps_per_iteration
        raise RunError(
            f"--total-steps is {total_steps:,}, but checkpoint {iteration} of {config.folder} has "
            f"already done {done:,}. Set it higher, or continue from an earlier --checkpoint."
        )
    return longer


def note_extension(
    folder: RunFolder, before: TrainConfig, now: TrainConfig, *, iteration: int, console: Console
) -> None:
    """Write a new end into config.json and extended.jsonl, and print what it means.

    A run that continues from before an earlier extension did not have that end there. The rows of
    later extensions are dropped, and their net effect is recorded at this iteration.

    Raises:
        RunError: the files cannot be written.
    """
    rows = read_lines(folder.extended)
    kept = [row for row in rows if row["iteration"] <= iteration]
    dropped = rows[len(kept) :]
    end = dropped[0]["total_steps_before"] if dropped else before.total_steps
    if now.total_steps != end:
        there = dataclasses.replace(before, total_steps=end)
        kept.append(_change(there, now, iteration))
        console.print(_said(kept[-1]), markup=False)
    if kept != rows:
        write_lines(folder.extended, kept)
    if now.total_steps != before.total_steps:
        # the file's own settings: others, such as the devices, may apply to this call only
        _, written = open_run(folder.path)
        longer = dataclasses.replace(written, total_steps=now.total_steps)
        replace_text(folder.config, to_json(longer), advice=how_to_go_on(folder.path))


def note_algorithm(folder: RunFolder, algorithm: OwnAlgorithm | None, console: Console) -> None:
    """Write an algorithm of the user's own into config.json, and print what is not as it was.

    Raises:
        RunError: it cannot be written.
    """
    _, written = open_run(folder.path)
    now = with_algorithm(written, algorithm)
    text = to_json(now)
    if text != to_json(written):
        replace_text(folder.config, text, advice=how_to_go_on(folder.path))
    for change in changes(written, now):
        console.print(f"{change.said('so far')}.", markup=False, highlight=False)


def _change(before: TrainConfig, now: TrainConfig, iteration: int) -> dict[str, Any]:
    """A row of extended.jsonl."""
    row: dict[str, Any] = {
        "iteration": iteration,
        "env_steps": iteration * now.steps_per_iteration,
        "total_steps_before": before.total_steps,
        "total_steps": now.total_steps,
    }
    if now.optimiser.anneal:
        rates = [1 - iteration / config.iterations for config in (before, now)]
        row |= {"step_size_before": rates[0], "step_size": rates[1]}
    return row


def _said(row: dict[str, Any]) -> str:
    said = (
        f"The run ends after {row['total_steps']:,} steps instead of {row['total_steps_before']:,}."
    )
    if "step_size" in row:
        said += (
            f" Step sizes fall to 0 at the new end: they continue at {row['step_size']:.1%} of "
            f"their initial values instead of {row['step_size_before']:.1%}."
        )
    return said
