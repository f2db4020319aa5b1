"""Going on with a run: from where, on which environment, and to which end.

A run's end matters before it comes in one respect: step sizes that are annealed fall to 0 there.
With another end the schedule is stretched over the whole of the new run. After k of N' iterations
a step size is 1 - k / N' of its first one, as in a run that had N' from the start; but the k
iterations that are done were annealed towards N. So an extended run is the same, bit for bit, as
one that had the new end from the start where nothing is annealed, and is another where something
is. `extended.jsonl` keeps each change, so that a curve can be read.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from typing import Any

from rich.console import Console

from opspo.algorithms import AlgorithmConfig
from opspo.checkpoint import Checkpoints
from opspo.config import TrainConfig, to_json
from opspo.environments.base import Environment
from opspo.environments.identity import check_same, stored_spec
from opspo.errors import RunError
from opspo.run_folder import RunFolder, open_run, read_lines, replace_text, write_lines
from opspo.training.assembly import Compose, with_algorithm


def iteration_to_go_on_from(folder: RunFolder, checkpoint: int | None) -> int:
    """The iteration of a checkpoint, by default the latest.

    Raises:
        RunError: there is none.
    """
    checkpoints = Checkpoints(folder.checkpoints)
    found = checkpoints.iterations()
    if checkpoint is not None:
        checkpoints.check(checkpoint)
        return checkpoint
    if not found:
        again = f", --init-from {shlex.quote(_source(folder))}" if folder.init.is_file() else ""
        raise RunError(
            f"{folder.path} has no checkpoint to go on from. Start again with `opspo train "
            f"--from-config {folder.config}`{again}, --overwrite, and the same --run-dir."
        )
    return found[-1]


def _source(folder: RunFolder) -> str:
    return str(json.loads(folder.init.read_text())["run"])


def check_environment(folder: RunFolder, environment: Environment, console: Console) -> None:
    """Say it where the engine has another version.

    Raises:
        RunError: the environment is not the one that the run was trained for, or the folder does
            not say which that was, as one of every version does.
    """
    stored = stored_spec(folder)
    check_same(folder, environment, stored)
    if stored.spec.engine != environment.spec.engine:
        console.print(
            f"The engine was {stored.spec.engine}, and is {environment.spec.engine} now.",
            markup=False,
        )


def extended(config: TrainConfig, total_steps: int | None, *, iteration: int) -> TrainConfig:
    """The settings with another end, for a run that has done so many iterations.

    Raises:
        RunError: it has done more already.
        ConfigError: `total_steps` is not positive.
    """
    if total_steps is None:
        return config
    longer = dataclasses.replace(config, total_steps=total_steps)
    if longer.iterations < iteration:
        done = iteration * config.steps_per_iteration
        raise RunError(
            f"--total-steps is {total_steps:,}, but checkpoint {iteration} of {config.folder} has "
            f"done {done:,} already. Give more, or go on from an earlier --checkpoint."
        )
    return longer


def note_extension(
    folder: RunFolder, before: TrainConfig, now: TrainConfig, *, iteration: int, console: Console
) -> None:
    """Write a new end into config.json and extended.jsonl, and say what it means.

    From before an extension, the run goes on towards another end than it had there: the rows that
    came later are dropped, and what they come to is noted where it holds from now on.

    Raises:
        RunError: they cannot be written.
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
        # the file's own settings: others may be given for this time alone, such as the devices
        _, written = open_run(folder.path)
        longer = dataclasses.replace(written, total_steps=now.total_steps)
        replace_text(folder.config, to_json(longer))


def note_algorithm(folder: RunFolder, algorithm: AlgorithmConfig | Compose | None) -> None:
    """Write the name of an algorithm of the user's own into config.json, where it is another.

    Raises:
        RunError: it cannot be written.
    """
    _, written = open_run(folder.path)
    text = to_json(with_algorithm(written, algorithm))
    if text != to_json(written):
        replace_text(folder.config, text)


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
            f" Step sizes fall to 0 at the new end: they go on at {row['step_size']:.1%} of the "
            f"first ones instead of {row['step_size_before']:.1%}."
        )
    return said
