"""Where the metrics go: JSON lines, TensorBoard and a progress bar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from opspo.errors import RunError
from opspo.evaluate import finite
from opspo.run_folder import RunFolder


def metrics_row(
    metrics: Mapping[str, Any],
    *,
    iteration: int,
    env_steps: int,
    wall_seconds: float,
    steps_per_second: float,
    has_win: bool,
) -> dict[str, Any]:
    """One line of metrics.jsonl, from the metrics that `Learner.iterate` returned.

    Means over episodes are null if no episode ended, or if the mean is not finite. Metrics by
    position are lists in the order of the update.
    """
    row: dict[str, Any] = {
        "iteration": iteration,
        "env_steps": env_steps,
        "wall_seconds": round(wall_seconds, 3),
        "steps_per_second": round(steps_per_second, 1),
    }
    episodes = {name: float(value) for name, value in metrics["episodes"].items()}
    ended = int(episodes.pop("episodes"))
    row |= {"episodes": ended, "reward": episodes.pop("reward")}
    if not has_win:
        episodes.pop("win_rate")
    row |= {name: finite(value) if ended else None for name, value in episodes.items()}
    row |= {name: int(value) for name, value in metrics.get("engine", {}).items()}
    row |= {name: float(value) for name, value in metrics["losses"].items()}
    row |= {name: np.asarray(value).tolist() for name, value in metrics["positions"].items()}
    return row


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Append a line to a JSON-lines file.

    Raises:
        RunError: the file cannot be written, for instance because the disk is full.
    """
    try:
        with path.open("a") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
    except OSError as error:
        raise RunError(
            f"{path} cannot be written: {error}. Free some space or fix the permissions, then "
            f"`opspo resume --run-dir {path.parent}`."
        ) from error


def progress_bars(console: Console) -> Progress:
    """Progress bars for one or more runs, as a context manager."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[shown]}"),
        TimeRemainingColumn(compact=True),
        console=console,
    )


class Log:
    """Writes a run's metrics to its files, TensorBoard and the console."""

    def __init__(
        self,
        folder: RunFolder,
        progress: Progress,
        *,
        name: str,
        total_steps: int,
        done_steps: int,
        tensorboard: bool,
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._name = name
        self._total = total_steps
        self._writer: Any = None
        if tensorboard:
            from tensorboardX import SummaryWriter  # noqa: PLC0415  (only if needed)

            self._writer = SummaryWriter(str(folder.tensorboard), purge_step=done_steps + 1)
        self._named: set[str] = set()
        """Names that were not finite and have been reported"""
        self._task = progress.add_task(name, total=total_steps, completed=done_steps, shown="")

    def close(self) -> None:
        """Flush and close TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()

    def iteration(self, row: Mapping[str, Any]) -> None:
        """Log an iteration's metrics."""
        append_line(self._folder.metrics, row)
        if row["episodes"]:
            self._name_once(row)
        self._events("train", row)
        shown = f"{row['steps_per_second']:,.0f}/s"
        if row["episode_return"] is not None:
            shown += f"  return {row['episode_return']:.2f}"
            if "win_rate" in row:
                shown += f"  wins {row['win_rate']:.0%}"
        done = min(row["env_steps"], self._total)
        self._progress.update(self._task, completed=done, shown=shown)

    def evaluation(self, row: Mapping[str, Any]) -> None:
        """Log an evaluation: when and how it was done, and its `Evaluation.summary`."""
        append_line(self._folder.evaluations, row)
        self._name_once(row)
        self._events("evaluation", row)
        wins = f", {row['win_rate']:.1%} won" if "win_rate" in row else ""
        self._progress.console.print(
            f"{row['env_steps']:>11,} {self._name}: return {row['mean_return']:.3f}{wins} "
            f"({row['episodes']} {'greedy' if row['greedy'] else 'sampled'} episodes)"
        )

    def _name_once(self, row: Mapping[str, Any]) -> None:
        """Report, once each, the episode metrics that are null because they are not finite."""
        for name in [name for name, value in row.items() if value is None]:
            if name not in self._named:
                self._named.add(name)
                self._progress.console.print(
                    f"{row['env_steps']:>11,} {self._name}: {name} of an episode is not finite "
                    "(NaN or infinite). It is logged as null; this is not reported again."
                )

    def _events(self, group: str, row: Mapping[str, Any]) -> None:
        if self._writer is None:
            return
        step = row["env_steps"]
        for name, value in row.items():
            if isinstance(value, bool):
                continue
            if isinstance(value, int | float):
                self._writer.add_scalar(f"{group}/{name}", value, step)
            elif isinstance(value, list) and group == "train":
                for position, each in enumerate(value):
                    self._writer.add_scalar(f"position/{name}/{position}", each, step)
