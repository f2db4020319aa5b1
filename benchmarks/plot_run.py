"""Draw a run's learning curve: `python benchmarks/plot_run.py RESULTS_FOLDER OUT.png`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np

from opspo.run_folder import RunFolder, open_run, read_lines

matplotlib.use("Agg")
import matplotlib.pyplot as plt

WINDOW = 20
"""Iterations over which the sampled curve is averaged"""


def main(run: str, out: str) -> None:
    _, config = open_run(run)
    folder = RunFolder(Path(run))
    metrics, evaluations = read_lines(folder.metrics), read_lines(folder.evaluations)
    steps = np.array([row["env_steps"] for row in metrics]) / 1e6
    wins = np.array([row["win_rate"] or 0.0 for row in metrics])
    smooth = np.convolve(wins, np.ones(WINDOW) / WINDOW, mode="valid")
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    axes.plot(steps, wins, color="C0", alpha=0.2, linewidth=0.7)
    label = f"while training, mean of {WINDOW} iterations"
    axes.plot(steps[WINDOW - 1 :], smooth, color="C0", label=label)
    axes.plot(
        [row["env_steps"] / 1e6 for row in evaluations],
        [row["win_rate"] for row in evaluations],
        "o",
        color="C1",
        markersize=4,
        label="greedy policy, evaluated",
    )
    minutes = metrics[-1]["wall_seconds"] / 60
    axes.set(
        xlabel="environment steps (millions)",
        ylabel="win rate",
        ylim=(0, 1),
        title=f"{config.algo.upper()} on {config.env}, seed {config.seed}: {minutes:.1f} minutes",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(out, dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
