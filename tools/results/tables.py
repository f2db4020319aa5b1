"""Markdown made from records, a function for each table of the docs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from opspo.evaluate import Evaluation
from opspo.experiments.records import Record
from tools.results.curves import WINDOW, last_tenth, sampled, sampled_at

EARLY = 400_000
"""Steps by which those that learn fast have learned"""
ROBOTS = ("mamujoco/HalfCheetah-6x1", "mamujoco/Hopper-3x1")


def family(records: Sequence[Record]) -> str:
    """Each seed's win rates, at the same epochs and at equal gradient steps."""
    figures: dict[str, Callable[[Record], float]] = {
        "400k": lambda record: sampled_at(record, EARLY),
        "1M": lambda record: sampled(record)[-1],
        "greedy": lambda record: won(record.evaluations[-1][1]),
    }
    kinds = ("same epochs", "equal steps")
    rows = []
    for algo in ("mappo", "ippo", "coppo", "happo", "a2po", "opspo"):
        same = of_line(records, algo)
        # sequential algorithms take as many steps already
        equal = of_line(records, f"{algo}, equal steps") or same
        rows.append(
            [algo]
            + [
                ", ".join(f"{figure(record):.2f}" for record in chosen)
                for figure in figures.values()
                for chosen in (same, equal)
            ]
        )
    return table(["", *(f"{name}, {kind}" for name in figures for kind in kinds)], rows)


def readings(records: Sequence[Record]) -> str:
    """What each seed of each reading scores at the end, on each task."""
    tasks = ("smax/2s3z", "smax/3m", "probe/regulator")
    rows = []
    for line in _in_order(record.line for record in records):
        runs = of_line(records, line)
        cells = [
            ", ".join(f"{last_tenth(run):.2f}" for run in runs if run.task == task) or "–"
            for task in tasks
        ]
        rows.append(
            [f"`{line.removeprefix('opspo, ')}`", *(cell.replace("-", "−") for cell in cells)]
        )
    return table(["line", *tasks], rows)


def robots(records: Sequence[Record]) -> str:
    """Returns of each seed on two robots, and of a larger step size on one."""
    rows = []
    for task, line in [(task, "opspo") for task in ROBOTS] + [(ROBOTS[1], "opspo, step size 1e-3")]:
        runs = [record for record in of_line(records, line) if record.task == task]
        name = f"`{task}`" + line.removeprefix("opspo")
        rows.append(
            [
                name,
                "; ".join(f"{np.mean(run.evaluations[-1][1].returns):,.0f}" for run in runs),
                "; ".join(f"{sampled(run)[-1]:,.0f}" for run in runs),
                "; ".join(f"{run.seconds / 60:.1f}" for run in runs),
            ]
        )
    head = ["greedy at the end, 200 episodes", f"sampled, last {WINDOW} iterations", "minutes"]
    return table(["seeds 0; 1; 2", *head], rows)


def reuse(records: Sequence[Record]) -> str:
    """What each seed returns in the last tenth of training, with earlier batches and without."""
    rows = []
    for line in _in_order(record.line for record in records):
        runs = of_line(records, line)
        scores = [last_tenth(run) for run in runs]
        minutes = np.mean([run.seconds for run in runs]) / 60
        each = "; ".join(f"{score:,.0f}" for score in scores)
        rows.append([line, each, f"{np.mean(scores):,.0f}", f"{minutes:.1f}"])
    return table(["", "seeds 1 to 5", "mean", "minutes"], rows)


def football(records: Sequence[Record]) -> str:
    """The run on football."""
    run = of_task(records, "football/academy_3_vs_1_with_keeper")
    steps, last = run.evaluations[-1]
    curve = sampled(run)
    return table(
        ["", ""],
        [
            [f"matches won in the first {WINDOW} iterations, sampled", f"{curve[0]:.2f}"],
            [f"in the last {WINDOW}, sampled", f"{curve[-1]:.2f}"],
            [f"at the end, greedy, {len(last.returns)} matches", f"{won(last):.2f}"],
            ["environment steps", f"{steps:,}"],
        ],
    )


def first_run(records: Sequence[Record]) -> str:
    """The run of `make train`."""
    run = of_task(records, "smax/3m")
    last = run.evaluations[-1][1]
    return table(
        ["", ""],
        [
            [f"greedy win rate, {len(last.returns)} episodes", f"{won(last):.3f}"],
            [f"sampled win rate in the last {WINDOW} iterations", f"{sampled(run)[-1]:.2f}"],
            [
                "training, including compilation and the evaluations during it",
                f"{run.seconds:.0f} s",
            ],
        ],
    )


def first_run_said(records: Sequence[Record]) -> str:
    """The same run in words."""
    run = of_task(records, "smax/3m")
    steps, last = run.evaluations[-1]
    return (
        f"a greedy win rate of {won(last):.3f} over {len(last.returns)} episodes, after "
        f"{steps / 1e6:.1f}M steps and {run.seconds:.0f} s"
    )


def spread_said(records: Sequence[Record]) -> str:
    """The run on `simple_spread` in words."""
    run = of_task(records, "pettingzoo/mpe2.simple_spread_v3")
    curve, last = sampled(run), np.mean(run.evaluations[-1][1].returns)
    said = f"rises from {curve[0]:.0f} to {curve[-1]:.0f}, and to {last:.0f} without sampling"
    return said.replace("-", "−")


def won(evaluation: Evaluation) -> float:
    """The share of episodes that were won."""
    assert evaluation.wins is not None
    return float(np.mean(evaluation.wins))


def of_line(records: Iterable[Record], line: str) -> list[Record]:
    """The runs of a line."""
    return [record for record in records if record.line == line]


def of_task(records: Iterable[Record], task: str) -> Record:
    """The only run on a task."""
    (run,) = [record for record in records if record.task == task]
    return run


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0].replace("|  ", "| "), "|---" * len(head) + "|", *lines[1:]])


def _in_order(names: Iterable[str]) -> list[str]:
    """OPSPO itself first, then its readings, then others."""
    return sorted(set(names), key=lambda name: (not name.startswith("opspo"), name))
