"""Evaluate a run and plot its learning curve.

    python examples/evaluate_and_plot.py [RUN_DIR]

Without a run it trains one first, as `train.py` does. The figure is written to curve.png.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import train

import opspo


def main(run: str = "runs/coordination", out: str = "curve.png") -> None:
    """Play 100 fresh episodes with the best checkpoint, and draw both curves."""
    if not Path(run).exists():
        train.main()
    evaluation = opspo.evaluate_run(run, episodes=100, seed=1, checkpoint="best")
    print("mean return of the best checkpoint:", evaluation.summary()["mean_return"])

    sampled, greedy = read(run, "metrics"), read(run, "evaluations")
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(
        [row["env_steps"] for row in sampled],
        [row["episode_return"] for row in sampled],
        label="sampled, while training",
    )
    axes.plot(
        [row["env_steps"] for row in greedy],
        [row["mean_return"] for row in greedy],
        "o",
        label="greedy, evaluated",
    )
    axes.set(xlabel="environment steps", ylabel="return of an episode", title=run)
    axes.legend()
    figure.savefig(out, dpi=150)
    print("curve:", out)


def read(run: str, name: str) -> list[dict[str, float]]:
    """A run's lines of JSON."""
    return [json.loads(line) for line in (Path(run) / f"{name}.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    main(*sys.argv[1:])
