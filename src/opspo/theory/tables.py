"""The results of the checks as a table, and as JSON that contains the worst problems."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from opspo.run_folder import package_versions
from opspo.theory.checks import Outcome, Worst


def print_table(outcomes: Sequence[Outcome], found: dict[str, Worst]) -> None:
    """Print a row for each claim; `found` has the worst problems from a search, by claim."""
    table = Table(title="Error of the surrogate ÷ its bound")
    for column in ("bound", "stated in", "checks", "violations", "median", "largest"):
        table.add_column(column)
    if found:
        table.add_column("largest found by search")
    for outcome in outcomes:
        total = outcome.total
        cells = [
            outcome.claim.name,
            outcome.claim.source,
            f"{total.checks:,}",
            f"{total.violations:,}",
            f"{total.median:.2g}",
            f"{total.largest:.3g}",
        ]
        if found:
            worst = found.get(outcome.claim.name)
            cells.append(f"{worst.ratio:.5g}" if worst else "")
        table.add_row(*cells, style="bold" if total.violations else None)
    Console().print(table)


def write_json(
    path: Path, outcomes: Sequence[Outcome], found: dict[str, Worst], settings: dict[str, Any]
) -> None:
    """Write the table's figures, the counts by pair of estimates, and the worst problems."""
    claims = []
    for outcome in outcomes:
        name = outcome.claim.name
        row: dict[str, Any] = {"claim": name, "source": outcome.claim.source}
        row |= dataclasses.asdict(outcome.total)
        row["by_estimate"] = {k: dataclasses.asdict(v) for k, v in outcome.by_estimate.items()}
        row["worst"] = _as_json(outcome.worst)
        if name in found:
            row["search"] = _as_json(found[name])
        claims.append(row)
    data = settings | {"versions": package_versions(), "claims": claims}
    path.write_text(json.dumps(data, indent=1) + "\n")


def _as_json(worst: Worst) -> dict[str, Any]:
    """A problem as plain lists; docs/theory.md describes the axes."""
    game = worst.problem.game
    arrays = {
        "gamma": worst.problem.gamma,
        "transition": game.transition,
        "initial": game.initial,
        "reward": game.reward,
        "old": worst.problem.old,
        "new": worst.problem.new,
        "distribution_estimate": worst.given.distribution,
        "advantage_estimate": worst.given.advantage,
    }
    facts = {"ratio": worst.ratio, "agent": worst.agent, "estimate": worst.estimate}
    return facts | {name: np.asarray(array).tolist() for name, array in arrays.items()}
