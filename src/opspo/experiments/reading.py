"""What figures and reports are made from: a study's records, or run folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from opspo.errors import ConfigError, RunError
from opspo.evaluate import Evaluation
from opspo.experiments.grid import fits, label, lines_of
from opspo.experiments.records import Record, curve_of, records_of
from opspo.experiments.study_file import Study, read_study
from opspo.experiments.task_scores import TaskScores, scores_of
from opspo.run_folder import RunFolder, open_run, read_lines


def read_scores(
    paths: Sequence[str], *, only: Sequence[str] = (), results: Path = Path("results")
) -> tuple[list[Record], list[TaskScores]]:
    """The records that paths name, and their scores.

    Args:
        paths: one study's file, folders of records, or run folders.
        only: patterns of tasks and lines, as in `grid.runs_of`.
        results: folder with the records of a study's file.

    Raises:
        ConfigError: nothing is there, or nothing fits the patterns.
        RunError: a record or a run cannot be read.
    """
    study: Study | None = None
    if len(paths) == 1 and paths[0].endswith(".toml"):
        study = read_study(paths[0]).study
        paths = [str(results / study.name)]
    if not paths:
        raise ConfigError("There is nothing to draw: name a study's file, or run folders.")
    found = [record for path in paths for record in _records(Path(path))]
    kept = [record for record in found if fits(record.task, record.line, only)]
    if not kept:
        known = ", ".join(sorted({f"{record.task}:{record.line}" for record in found}))
        raise ConfigError(f"Nothing fits --only {' '.join(only)}. There are: {known}.")
    if study is not None:
        kept = _in_order(kept, study)
    return kept, scores_of(kept, study)


def _in_order(records: Sequence[Record], study: Study) -> list[Record]:
    """In the study's order of tasks and lines."""
    tasks = [task for group in study.groups for task in group.tasks]
    lines = [label(algo, variant) for _, algo, variant in lines_of(study)]
    known = [record for record in records if record.task in tasks and record.line in lines]
    return sorted(
        known,
        key=lambda record: (tasks.index(record.task), lines.index(record.line), record.seed),
    )


def _records(path: Path) -> list[Record]:
    if not path.is_dir():
        raise ConfigError(f"{path} is no folder of records, and no run folder.")
    return [record_of_folder(path)] if RunFolder(path).config.is_file() else records_of(path)


def record_of_folder(path: Path) -> Record:
    """The record of a single run that belongs to no study.

    Its line is its algorithm's name. In place of the absolute metric stands its last evaluation.

    Raises:
        RunError: it has no evaluation yet.
    """
    folder, config = open_run(path)
    rows, metrics = read_lines(folder.evaluations), read_lines(folder.metrics)
    if not rows or not metrics:
        raise RunError(f"{path} has no evaluation yet: let it train until its first one.")
    at_steps = {row["env_steps"]: Evaluation.of_summary(row) for row in rows}
    steps = max(at_steps)
    return Record(
        study="",
        group="",
        task=config.env,
        line=config.algo,
        seed=config.seed,
        config=replace(config, run_dir=""),
        versions={},
        seconds=metrics[-1]["wall_seconds"],
        evaluations=tuple(sorted(at_steps.items(), key=lambda item: item[0])),
        absolute=at_steps[steps],
        absolute_steps=steps,
        curve=curve_of(metrics),
    )
