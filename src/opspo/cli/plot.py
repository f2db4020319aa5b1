"""`opspo plot`: figures of a study, or of any run folders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class _Plot:
    """Draw a figure: of a study's records, or of run folders."""

    paths: tyro.conf.Positional[tuple[str, ...]]
    """A study's file, a folder of records, or run folders."""
    out: str
    """The figure: PNG, SVG or PDF, by its ending."""
    kind: Literal["curves", "aggregates", "profiles", "improvement", "bars"] = "curves"
    """Learning curves over tasks; aggregates of normalised scores; performance profiles; the
    probability of improvement for every pair of lines; or bars, as in an ablation."""
    only: tuple[str, ...] = ()
    """Only tasks or lines that fit one of these patterns, such as `smax/*`, `opspo*` or
    `smax/3m:opspo`."""
    results: str = "results"
    """Folder with the records, if a study's file is given."""


def command(arguments: Sequence[str]) -> None:
    """Draw a figure."""
    parsed = tyro.cli(_Plot, prog="opspo plot", args=arguments)

    from opspo.experiments.aggregation import across
    from opspo.experiments.figures import OVER_TASKS, draw
    from opspo.experiments.reading import read_scores

    found = read_scores(parsed.paths, only=parsed.only, results=Path(parsed.results))
    draw(parsed.kind, found.scores, Path(parsed.out))
    whole = across(found.scores)
    left_out = [whole.note, *whole.gaps] if parsed.kind in OVER_TASKS else []
    for said in filter(None, [*found.warnings, *left_out]):
        print(said, file=sys.stderr)
    print(f"The figure is {parsed.out}")
