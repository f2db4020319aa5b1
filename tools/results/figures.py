"""The figures of the docs that come from records.

A figure's file carries a hash of what it shows. So it is drawn anew only where that has changed,
not where the drawing library's version has.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import matplotlib
from PIL import Image

from opspo.experiments.figures import COLOURS
from opspo.experiments.records import Record, records_of
from opspo.experiments.task_scores import PER_EPISODE, values
from tools.results.curves import curve

matplotlib.use("Agg")
import matplotlib.pyplot as plt

HASH = "Shows"
"""Key of the hash in a file"""
FIGURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "smax_3m.png": ("single_runs", ("smax/3m",)),
    "football.png": ("single_runs", ("football/academy_3_vs_1_with_keeper",)),
    "spread.png": ("single_runs", ("pettingzoo/mpe2.simple_spread_v3",)),
    "robots.png": ("robots", ("mamujoco/HalfCheetah-6x1", "mamujoco/Hopper-3x1")),
}
"""File → the study, and its tasks, a panel each"""


def renew(root: Path, *, write: bool) -> list[str]:
    """Renew the figures that do not show what the records say.

    Args:
        root: of the project.
        write: whether they are drawn, rather than checked.

    Returns:
        Those that were out of date.
    """
    stale = []
    for name, (study, tasks) in FIGURES.items():
        path = root / "docs" / "figures" / name
        records = [r for r in records_of(root / "results" / study) if r.line == "opspo"]
        panels = {task: [shown(r) for r in records if r.task == task] for task in tasks}
        key = hashlib.sha256(json.dumps(panels).encode()).hexdigest()
        if path.is_file() and Image.open(path).info.get(HASH) == key:
            continue
        stale.append(str(path.relative_to(root)))
        if write:
            draw(panels).savefig(path, dpi=130, metadata={HASH: key})
    return stale


def shown(record: Record) -> dict[str, Any]:
    """What a run's line and dots show."""
    found = curve(record)
    metric = {"win_rate": "win", "episode_return": "return"}[found.metric]
    assert metric in PER_EPISODE
    return {
        "seed": record.seed,
        "metric": found.metric.replace("_", " "),
        "steps": found.steps,
        "values": found.values,
        "evaluated": [at for at, _ in record.evaluations],
        "scores": [float(values(each, metric).mean()) for _, each in record.evaluations],
    }


def draw(panels: dict[str, list[dict[str, Any]]]) -> Any:
    """A panel for each task, a line and dots for each seed."""
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(1.5 + 4.2 * len(panels) + (len(panels) == 1), 3.4),
        layout="constrained",
        squeeze=False,
    )
    for axis, (task, runs) in zip(axes[0], panels.items(), strict=True):
        for run, colour in zip(runs, COLOURS, strict=False):
            steps = [at / 1e6 for at in run["steps"]]
            label = f"seed {run['seed']}" if len(runs) > 1 else "while training"
            axis.plot(steps, run["values"], color=colour, label=label)
            axis.plot(
                [at / 1e6 for at in run["evaluated"]],
                run["scores"],
                "o",
                color=colour if len(runs) > 1 else COLOURS[1],
                markersize=4,
                label=None if len(runs) > 1 else "greedy, evaluated",
            )
        axis.set(xlabel="environment steps (millions)", ylabel=runs[0]["metric"], title=task)
        axis.set_xlim(left=0)
        if runs[0]["metric"] == "win rate":
            axis.set_ylim(0, 1.02)
        axis.grid(alpha=0.3)
        axis.legend()
    return figure
