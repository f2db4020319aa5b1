"""`opspo plot`: figures of a study, or of any run folders."""

from __future__ import annotations

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
    """Only tasks or lines that fit one of these patterns."""
    results: str = "results"
    """Folder with the records, if a study's file is given."""


def command(arguments: Sequence[str]) -> None:
    """Draw a figure."""
    parsed = tyro.cli(_Plot, prog="opspo plot", args=arguments)

    from opspo.experiments.figures import draw
    from opspo.experiments.reading import read_scores

    _, scores = read_scores(parsed.paths, only=parsed.only, results=Path(parsed.results))
    draw(parsed.kind, scores, Path(parsed.out))
    print(f"The figure is {parsed.out}")
