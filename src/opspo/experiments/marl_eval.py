"""Records in the JSON layout of marl-eval (Gorsane et al. 2022), for its own tools.

    {env: {task: {algorithm: {"seed_0": {"step_0": {"step_count": …, "elapsed_time": …,
    "return": […]}, …, "absolute_metrics": {"return": […]}}}}}}

marl-eval wants lower-case names without commas, and win rates in percent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from opspo.errors import ConfigError
from opspo.evaluate import Evaluation
from opspo.experiments.records import Record
from opspo.run_folder import replace_text


def marl_eval(records: Sequence[Record]) -> dict[str, Any]:
    """The layout of all records; see the module.

    Raises:
        ConfigError: two tasks or two lines would have the same name.
    """
    tasks = _names(record.task for record in records)
    lines = _names(record.line for record in records)
    found: dict[str, Any] = {}
    for record in records:
        family, _, task = tasks[record.task].partition("/")
        runs = found.setdefault(family, {}).setdefault(task, {})
        runs.setdefault(lines[record.line], {})[f"seed_{record.seed}"] = _run(record)
    return found


def write_marl_eval(records: Sequence[Record], path: Path) -> None:
    """Write the layout as JSON.

    Raises:
        ConfigError: two tasks or two lines would have the same name.
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


def _names(names: Iterable[str]) -> dict[str, str]:
    """Name → as marl-eval wants it."""
    found = {name: name.replace(",", "").lower() for name in names}
    taken: dict[str, str] = {}
    for name, short in found.items():
        if taken.setdefault(short, name) != name:
            raise ConfigError(
                f"marl-eval wants lower-case names without commas, and '{taken[short]}' and "
                f"'{name}' would both be '{short}'. Rename one, or leave one out with --only."
            )
    return found
