"""OPSPO on environments beside SMAX: runs, curves and a table.

    python benchmarks/curves.py run ENV [--steps N] [--seeds 0 1 2]
    python benchmarks/curves.py keep RUN_FOLDER
    python benchmarks/curves.py plot OUT.png ENV [ENV ...]
    python benchmarks/curves.py table ENV [ENV ...]

`run` trains at the default settings of ENV, `keep` takes over a run that was trained otherwise;
both put its settings, versions, metrics and evaluations into results/environments/. The run itself
stays in runs/curves/.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from opspo.run_folder import RunFolder, open_run, read_lines

RESULTS = Path(__file__).parent.parent / "results" / "environments"
KEPT = ("config.json", "environment.json", "versions.json", "metrics.jsonl", "evaluations.jsonl")
WINDOW = 20
"""Iterations over which curves are averaged"""


def kept(env: str) -> list[Path]:
    """The folders of an environment's runs, one for each seed."""
    return sorted(RESULTS.glob(f"{_name(env)}-seed*"))


def _name(env: str) -> str:
    return "".join(c if c.isalnum() or c in "_." else "-" for c in env)


def keep(folder: str) -> None:
    """Take over a run's settings and figures."""
    _, config = open_run(folder)
    out = RESULTS / f"{_name(config.env)}-seed{config.seed}"
    out.mkdir(parents=True, exist_ok=True)
    for name in KEPT:
        if (Path(folder) / name).exists():
            shutil.copy(Path(folder) / name, out / name)
    print(out.name, flush=True)


def run(env: str, steps: int, seeds: list[int]) -> None:
    """Train each seed that is not there yet."""
    import opspo

    for seed in seeds:
        if (RESULTS / f"{_name(env)}-seed{seed}").exists():
            continue
        config = dataclasses.replace(
            opspo.default_config(env, "opspo"),
            seed=seed,
            total_steps=steps,
            tensorboard=False,
            run_dir=f"runs/curves/{_name(env)}-seed{seed}",
        )
        opspo.train(config, overwrite=True)
        keep(str(config.folder))


def curve(metrics: list[dict[str, Any]]) -> tuple[str, list[float], list[float]]:
    """What is drawn: its name, environment steps in millions, means over `WINDOW` iterations.

    A mean is over all episodes that ended in these iterations.
    """
    what = "win_rate" if "win_rate" in metrics[0] else "episode_return"
    steps, means = [], []
    for end in range(min(WINDOW, len(metrics)), len(metrics) + 1):
        rows = [row for row in metrics[max(end - WINDOW, 0) : end] if row["episodes"]]
        if rows:
            total = sum(row[what] * row["episodes"] for row in rows)
            steps.append(metrics[end - 1]["env_steps"] / 1e6)
            means.append(total / sum(row["episodes"] for row in rows))
    return what, steps, means


def plot(out: str, envs: list[str]) -> None:
    """One panel for each environment, one line for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(
        1, len(envs), figsize=(1.5 + 4.2 * len(envs), 3.4), layout="constrained", squeeze=False
    )
    for axes, env in zip(panels[0], envs, strict=True):
        for number, folder in enumerate(kept(env)):
            metrics = read_lines(RunFolder(folder).metrics)
            what, steps, values = curve(metrics)
            axes.plot(steps, values, color=f"C{number}", label=folder.name.rpartition("-")[2])
            evaluations = read_lines(RunFolder(folder).evaluations)
            score = {"win_rate": "win_rate", "episode_return": "mean_return"}[what]
            axes.plot(
                [row["env_steps"] / 1e6 for row in evaluations],
                [row[score] for row in evaluations],
                "o",
                color=f"C{number}",
                markersize=4,
            )
        axes.set(xlabel="environment steps (millions)", ylabel=what.replace("_", " "), title=env)
        axes.set_xlim(left=0)
        if what == "win_rate":
            axes.set_ylim(0, 1)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(out, dpi=130)


def table(envs: list[str]) -> None:
    """Print a Markdown table: a cell has each seed's figure."""
    print("| | greedy at the end | sampled, last 20 iterations | steps | minutes |")
    print("|---|---|---|---|---|")
    for env in envs:
        cells: list[list[str]] = [[], [], [], []]
        for folder in kept(env):
            metrics = read_lines(RunFolder(folder).metrics)
            evaluations = read_lines(RunFolder(folder).evaluations)
            what, _, values = curve(metrics)
            digits, score = (2, "win_rate") if what == "win_rate" else (0, "mean_return")
            final = evaluations[-1][score] if evaluations else float("nan")
            cells[0].append(f"{final:,.{digits}f}")
            cells[1].append(f"{values[-1]:,.{digits}f}")
            cells[2].append(f"{metrics[-1]['env_steps']:,}")
            cells[3].append(f"{metrics[-1]['wall_seconds'] / 60:.1f}")
        print(f"| `{env}` | " + " | ".join("; ".join(cell) for cell in cells) + " |")


def main() -> None:
    """Train, keep, draw or print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "keep", "plot", "table"])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", ".jax_cache")
    first, *rest = arguments.names
    commands: dict[str, Callable[[], None]] = {
        "run": lambda: run(first, arguments.steps, arguments.seeds),
        "keep": lambda: keep(first),
        "plot": lambda: plot(first, rest),
        "table": lambda: table(arguments.names),
    }
    commands[arguments.command]()


if __name__ == "__main__":
    main()
