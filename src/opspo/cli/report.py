"""`opspo report`: a study as one page for a browser."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from opspo.errors import ConfigError


@dataclass(frozen=True)
class _Report:
    """Write a study as one HTML page that opens without a network."""

    file: tyro.conf.Positional[str]
    """The study's file."""
    out: str = ""
    """The page; by default `report.html` in the folder of the records."""
    json: str = ""
    """File for the figures of the page, as JSON."""
    marl_eval: str = ""
    """File for the records in the JSON layout of marl-eval."""
    only: tuple[str, ...] = ()
    """Only tasks or lines that fit one of these patterns, such as `smax/*`, `opspo*` or
    `smax/3m:opspo`."""
    runs: str = "runs"
    """Folder of unfinished runs, for how far they have come and their logs."""
    results: str = "results"
    """Folder with the records."""


def command(arguments: Sequence[str]) -> None:
    """Write a study's report."""
    parsed = tyro.cli(_Report, prog="opspo report", args=arguments)

    from opspo.experiments.grid import runs_of
    from opspo.experiments.marl_eval import write_marl_eval
    from opspo.experiments.plan import Places, jobs_of, unfinished
    from opspo.experiments.reading import read_scores
    from opspo.experiments.records import film_of
    from opspo.experiments.study_file import read_study
    from opspo.experiments.study_page import write_report
    from opspo.run_folder import replace_text

    if not parsed.file.endswith(".toml"):
        raise ConfigError(f"{parsed.file} is not a study's file, whose name ends in .toml.")
    file, results = read_study(parsed.file), Path(parsed.results)
    found = read_scores([parsed.file], only=parsed.only, results=results)
    runs = runs_of(file, parsed.only)
    left = jobs_of(file, runs, Places(Path(parsed.runs), results))
    films = {run.name: film_of(run, results) for run in runs if film_of(run, results).is_file()}
    name = file.study.name
    out = Path(parsed.out or results / name / "report.html")
    summary = write_report(
        found,
        out,
        title=name,
        unfinished=unfinished(left),
        films=films,
        tuning=file.study.tuning,
    )
    if parsed.json:
        replace_text(Path(parsed.json), json.dumps(summary, indent=1) + "\n")
    if parsed.marl_eval:
        write_marl_eval(found.records, Path(parsed.marl_eval))
    for said in filter(None, [*summary["warnings"], summary["note"]]):
        print(said, file=sys.stderr)
    print(f"{summary['claim']}\nThe report is {out}")
