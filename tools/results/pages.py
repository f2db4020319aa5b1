"""The tables and numbers of the docs that come from records.

In a page they stand between two marks, `<!-- results: NAME -->` and `<!-- end -->`; what is
between the marks is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from opspo.experiments.records import Record, records_of
from tools.results import survey, tables

Maker = Callable[[Path], str]
"""A folder under results/ → what a page has of it"""


def _of_records(make: Callable[[list[Record]], str]) -> Maker:
    return lambda folder: make(records_of(folder))


DOCS: dict[str, dict[str, Maker]] = {
    "docs/algorithms/README.md": {"family": _of_records(tables.family)},
    "docs/algorithms/opspo.md": {"single_runs: 3m": _of_records(tables.first_run_said)},
    "docs/environments/football.md": {"single_runs: football": _of_records(tables.football)},
    "docs/environments/mamujoco.md": {"robots": _of_records(tables.robots)},
    "docs/environments/own.md": {"single_runs: spread": _of_records(tables.spread_said)},
    "docs/environments/smax.md": {"single_runs: 3m": _of_records(tables.first_run)},
    "docs/paper.md": {"readings": _of_records(tables.readings)},
    "docs/algorithms/beyond.md": {"reuse": _of_records(tables.reuse)},
    "docs/survey.md": {
        "fidelity: one batch": survey.one_batch,
        "fidelity: directions": survey.directions,
        "fidelity: states": survey.states,
        "fidelity: pays": survey.pays,
    },
}
"""Page → what it has, as `FOLDER` or `FOLDER: PART`, and what makes it from results/FOLDER"""


def renew(root: Path, *, write: bool) -> list[str]:
    """Renew what is between the marks.

    Args:
        root: of the project.
        write: whether the pages are changed, rather than checked.

    Returns:
        What was out of date.
    """
    stale = []
    for name, parts in DOCS.items():
        page = root / name
        before = after = page.read_text()
        for part, make in parts.items():
            folder = part.partition(":")[0]
            text = with_part(after, part, make(root / "results" / folder))
            if text != after:
                stale.append(f"{name}: {part}")
            after = text
        if write and after != before:
            page.write_text(after)
    return stale


def with_part(text: str, name: str, part: str) -> str:
    """A page's text with a table or a number in its place."""
    marks = rf"(<!-- results: {re.escape(name)} -->\s*)(.*?)(\s*<!-- end -->)"
    found, count = re.subn(marks, lambda m: f"{m[1]}{part}{m[3]}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"There must be one place for '{name}', but there are {count}.")
    return found
