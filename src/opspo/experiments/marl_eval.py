"""Records in the JSON layout of marl-eval (Gorsane et al. 2022), for its own tools.

    {env: {task: {algorithm: {"seed_0": {"step_0": {"step_count": …, "elapsed_time": …,
    "return": […]}, …, "absolute_metrics": {"return": […]}}}}}}

marl-eval wants lower-case names without commas, and win rates in percent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opspo.evaluate import Evaluation
from opspo.experiments.records import Record
from opspo.run_folder import replace_text


def marl_eval(records: Iterable[Record]) -> dict[str, Any]:
    """The layout of all records; see the module."""
    found: dict[str, Any] = {}
    for record in records:
        family, _, task = record.task.partition("/")
        runs = found.setdefault(_name(family), {}).setdefault(_name(task), {})
        runs.setdefault(_name(record.line), {})[f"seed_{record.seed}"] = _run(record)
    return found


def write_marl_eval(records: Iterable[Record], path: Path) -> None:
    """Write the layout as JSON.

    Raises:
        RunError: it cannot be written.
    """
    replace_text(path, json.dumps(marl_eval(records), indent=1) + "\n")


def _run(record: Record) -> dict[str, Any]:
    absolute = record.score
    last = record.evaluations[-1][0]
    steps = {
        f"step_{i}": {
            "step_count": at,
            # evaluations are at equal intervals; the record has the time of the whole
            "elapsed_time": record.seconds * at / last,
            **_metrics(evaluation),
        }
        for i, (at, evaluation) in enumerate(record.evaluations)
    }
    return steps | {"absolute_metrics": _metrics(absolute)}


def _metrics(evaluation: Evaluation) -> dict[str, list[float]]:
    found = {"return": list(evaluation.returns)}
    if evaluation.wins is not None:
        found["win_rate"] = [100.0 * won for won in evaluation.wins]
    return found


def _name(name: str) -> str:
    return name.replace(",", "").lower()
