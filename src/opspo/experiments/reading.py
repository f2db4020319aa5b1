"""What figures and reports are made from: a study's records, or run folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opspo.config.changes import changes, flat
from opspo.config.own import plain_settings
from opspo.errors import ConfigError, RunError
from opspo.evaluate import Evaluation
from opspo.experiments.grid import fits, runs_of
from opspo.experiments.records import (
    ENDING,
    FREE,
    Record,
    curve_of,
    path_of,
    record_of,
    records_of,
)
from opspo.experiments.study_file import StudyFile, read_study
from opspo.experiments.task_scores import TaskScores, scores_of
from opspo.run_folder import RunFolder, open_run, read_lines

NAMED = 3
"""Number of settings, or of runs, that are named before the rest is left to an ellipsis"""
NOT_LEARNED = (
    *FREE,
    "seed",
    "evaluation.every_steps",
    "evaluation.episodes",
    "evaluation.final_episodes",
    "evaluation.at_end",
)
"""Settings in which the runs of one line may differ"""


@dataclass(frozen=True)
class Found:
    """Records that were evaluated, and their scores."""

    records: list[Record]
    scores: list[TaskScores]
    warnings: list[str]
    """What was left out, in a sentence each"""


def read_scores(
    paths: Sequence[str], *, only: Sequence[str] = (), results: Path = Path("results")
) -> Found:
    """The records that paths name, and their scores.

    Args:
        paths: one study's file, folders of records, or run folders. Of a study, the records of its
            runs are read, and no others. Runs from folders that have the same task and algorithm,
            but other settings, are lines of their own, named by what differs.
        only: patterns of tasks and lines, as in `grid.runs_of`.
        results: folder with the records of a study's file.

    Raises:
        ConfigError: nothing is there; nothing fits the patterns; nothing was evaluated; or a run is
            there twice.
        RunError: a record or a run cannot be read, or was made with other settings than the
            study's.
    """
    if not paths:
        raise ConfigError("There is nothing to draw: name a study's file, or run folders.")
    if len(paths) == 1 and paths[0].endswith(".toml"):
        return _of_study(read_study(paths[0]), only, results)
    placed = [(path, record) for path in paths for record in _records(Path(path))]
    kept = [(path, record) for path, record in placed if fits(record.task, record.line, only)]
    if not kept:
        known = ", ".join(sorted({f"{record.task}:{record.line}" for _, record in placed}))
        raise ConfigError(f"Nothing fits --only {' '.join(only)}. There are: {known}.")
    warnings = _never_evaluated([record for _, record in kept])
    kept = [(path, record) for path, record in kept if record.absolute is not None]
    records = _told_apart([record for _, record in kept])
    _check_double([path for path, _ in kept], records)
    return Found(records, scores_of(records), warnings)


def _of_study(file: StudyFile, only: Sequence[str], results: Path) -> Found:
    runs, folder = runs_of(file, only), results / file.study.name
    records = [record for run in runs if (record := record_of(run, results))]
    expected = {path_of(run, results) for run in runs}
    # with patterns, what is not chosen may be of the study all the same
    others = [] if only else [p for p in folder.rglob(f"*{ENDING}") if p not in expected]
    if not records:
        hint = f" There are {_count(others, 'record')}, of none of its runs." if others else ""
        raise ConfigError(
            f"No run of {file.path}{' that fits --only' if only else ''} has a record in {folder}."
            f"{hint} Run it first: opspo study run {file.path}"
        )
    warnings = _never_evaluated(records)
    if others:
        warnings.append(
            f"Left out: {_count(others, 'record')} in {folder} of no run of {file.path}."
        )
    read = {name for record in records for name in (record.task, record.line)}
    if missing := list(dict.fromkeys(n for r in runs for n in (r.task, r.line) if n not in read)):
        warnings.append(f"No run is finished yet of: {'; '.join(missing)}.")
    meant: dict[str, set[str]] = {}
    for run in runs:
        meant.setdefault(run.task, set()).add(run.line)
    evaluated = [record for record in records if record.absolute is not None]
    return Found(evaluated, scores_of(evaluated, file.study, meant), warnings)


def _never_evaluated(records: Sequence[Record]) -> list[str]:
    """What is to be said of records that cannot be scored.

    Raises:
        ConfigError: they are all.
    """
    left = [record for record in records if record.absolute is None]
    if len(left) == len(records):
        raise ConfigError(
            "These runs have training curves alone: an early version made them, and did not "
            "evaluate them. There is no score to show. `make results` shows the curves."
        )
    if not left:
        return []
    names = [f"{each.line} on {each.task} with seed {each.seed}" for each in left[:NAMED]]
    more = ["…"] if len(left) > NAMED else []
    return [f"Left out: {_count(left, 'run')} without an evaluation: {'; '.join(names + more)}."]


def _count(items: Sequence[Any], name: str) -> str:
    return f"{len(items)} {name}{'s' if len(items) > 1 else ''}"


def _told_apart(records: Sequence[Record]) -> list[Record]:
    """Records whose lines are named by the settings in which runs of a line differ on a task."""
    first: dict[tuple[str, str], Record] = {}
    differing: dict[str, list[str]] = {}
    for record in records:
        other = first.setdefault((record.task, record.line), record)
        names = differing.setdefault(record.line, [])
        for change in changes(other.config, record.config):
            if not {change.name, change.name.partition(".")[0]} & {*NOT_LEARNED, *names}:
                names.append(change.name)
    seen: dict[str, list[list[Any]]] = {}
    found = []
    for record in records:
        names, settings = differing[record.line], flat(plain_settings(record.config))
        values = [settings.get(name) for name in names]
        variants = seen.setdefault(record.line, [])
        if values not in variants:
            variants.append(values)
        said = [f"{n}={value}" for n, value in zip(names[:NAMED], values, strict=False)]
        # too many to name: the number keeps them apart
        said += [f"… ({variants.index(values) + 1})"] if len(names) > NAMED else []
        found.append(replace(record, line=", ".join([record.line, *said])))
    return found


def _check_double(paths: Sequence[str], records: Sequence[Record]) -> None:
    seen: dict[tuple[str, str, int], str] = {}
    for path, record in zip(paths, records, strict=True):
        key = (record.task, record.line, record.seed)
        if key in seen:
            raise ConfigError(
                f"{record.line} on {record.task} with seed {record.seed} is there twice, in "
                f"{seen[key]} and in {path}. The runs of a line must have different seeds: leave "
                "one out."
            )
        seen[key] = path


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
