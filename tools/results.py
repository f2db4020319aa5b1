"""Every figure and table of the docs that comes from `results/`: `python tools/results.py`.

A table stands between two marks in its page, `<!-- results: NAME -->` and `<!-- end -->`; what is
between them is replaced. `--check` changes nothing, and fails where something would change.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

from opspo.experiments.records import Record, records_of

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "results"
EARLY = 400_000
"""Steps by which those that learn fast have learned"""
WINDOW = 20
"""Iterations over which a sampled win rate is averaged"""


def family() -> str:
    """docs/algorithms/README.md: each seed's win rates, at the same epochs and at equal steps."""
    records = records_of(RESULTS / "family")
    names = ("400k", "1M", "greedy")
    kinds = ("same epochs", "equal steps")
    lines = [
        "| | " + " | ".join(f"{name}, {kind}" for name in names for kind in kinds) + " |",
        "|---" * (1 + len(names) * len(kinds)) + "|",
    ]
    for algo in ("mappo", "ippo", "coppo", "happo", "a2po", "opspo"):
        same = [record for record in records if record.line == algo]
        # sequential algorithms take as many steps already
        equal = [record for record in records if record.line == f"{algo}, equal steps"] or same
        cells = [
            ", ".join(f"{figure(record):.2f}" for record in chosen)
            for figure in (_early, _at_the_end, _greedy)
            for chosen in (same, equal)
        ]
        lines.append(f"| {algo} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _early(record: Record) -> float:
    return sampled(record, EARLY)


def _at_the_end(record: Record) -> float:
    return sampled(record, record.config.total_steps)


def _greedy(record: Record) -> float:
    wins = record.evaluations[-1][1].wins
    assert wins is not None
    return sum(wins) / len(wins)


def sampled(record: Record, steps: int) -> float:
    """The training policy's win rate over the iterations before some steps."""
    rates = [
        rate
        for at, rate in zip(record.curve["env_steps"], record.curve["win_rate"], strict=True)
        if at <= steps
    ]
    seen = [rate for rate in rates[-WINDOW:] if rate is not None]
    return float(sum(seen) / len(seen))


TABLES: dict[str, tuple[Path, Callable[[], str]]] = {
    "family": (ROOT / "docs" / "algorithms" / "README.md", family),
}
"""Name of a table → its page, and what makes it"""


def with_table(text: str, name: str, table: str) -> str:
    """A page's text with a table in its place."""
    marks = rf"(<!-- results: {name} -->\n)(.*?)(\n<!-- end -->)"
    found, count = re.subn(marks, lambda m: f"{m[1]}{table}{m[3]}", text, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"There must be one place for the table {name}, but there are {count}.")
    return found


def main() -> int:
    """Write everything, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parsed = parser.parse_args()
    stale = []
    for name, (page, make) in TABLES.items():
        before = page.read_text()
        after = with_table(before, name, make())
        if after != before:
            stale.append(f"{page.relative_to(ROOT)}: the table {name}")
            if not parsed.check:
                page.write_text(after)
    for each in stale:
        print(each)
    return 1 if parsed.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
