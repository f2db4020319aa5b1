"""The tables and numbers of the docs that come from records.

In a page they stand between two marks, `<!-- results: NAME -->` and `<!-- end -->`; what is
between the marks is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from opspo.experiments.records import Record, records_of
from tools.results import tables

DOCS: dict[str, dict[str, Callable[[list[Record]], str]]] = {
    "docs/algorithms/README.md": {"family": tables.family},
    "docs/algorithms/opspo.md": {"single_runs: 3m": tables.first_run_said},
    "docs/environments/football.md": {"single_runs: football": tables.football},
    "docs/environments/mamujoco.md": {"robots": tables.robots},
    "docs/environments/own.md": {"single_runs: spread": tables.spread_said},
    "docs/environments/smax.md": {"single_runs: 3m": tables.first_run},
    "docs/paper.md": {"readings": tables.readings},
}
"""Page → what it has, as `STUDY` or `STUDY: PART`, and what makes it from the study's records"""


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
            study = part.partition(":")[0]
            text = with_part(after, part, make(records_of(root / "results" / study)))
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
