"""From a study's file to its runs, each with complete settings."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opspo.config import TrainConfig
from opspo.environments import check_id, make_env, require_env
from opspo.errors import ConfigError
from opspo.experiments.study_file import Group, Study, StudyFile, Variant, seeds_of
from opspo.experiments.study_settings import config_of, evaluated, interval_of, label

EPISODES_HAVE = ("return", "length")
"""Metrics of the episodes of every environment"""


@dataclass(frozen=True)
class Run:
    """One run of a study."""

    study: str
    group: str
    task: str
    """The environment's id."""
    line: str
    """The algorithm, or a variant of it as in `opspo, no AEC`."""
    seed: int
    config: TrainConfig
    """All its settings. Its folder is chosen when it is carried out."""
    absolute_episodes: int
    """Episodes of the absolute metric"""

    @property
    def cell(self) -> str:
        """Task and line, as part of a path."""
        return f"{slug(self.task)}/{slug(self.line)}"

    @property
    def name(self) -> str:
        """Of its record, without the ending: task, line and seed."""
        return f"{self.cell}-seed{self.seed}"


def slug(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^\w.]+", "-", name).strip("-")


def runs_of(file: StudyFile, only: Sequence[str] = ()) -> list[Run]:
    """All runs of a study, or those that fit a pattern: tasks outermost, seeds innermost.

    Args:
        file: the study.
        only: patterns such as `smax/*`, `opspo*` or `smax/3m:opspo`: of tasks, lines, or both. A
            run is chosen that fits one of them; none choose all.

    Raises:
        ConfigError: there is no such task, or record of a tuning; a task's episodes lack the
            group's metric; a setting is unknown or does not fit; the budget is no multiple of an
            iteration; two runs have the same name; or nothing fits the patterns. The message names
            the line.
    """
    study = file.study
    found = []
    for g, group in enumerate(study.groups):
        for task in group.tasks:
            found += (ours := _of_task(file, g, group, task, only))
            if ours:
                _check_metric(file, g, group, task)
    _check_names(file, found)
    _check_patterns(file)
    # not where a file is read: a job reads it too, perhaps in another folder
    if study.tuning and not Path(study.tuning).is_file():
        raise file.wrong(f"there is no record {study.tuning} of a tuning.", "tuning")
    if not found:
        lines = [label(algo, variant) for _, algo, variant in lines_of(study)]
        raise ConfigError(
            f"Nothing of {file.path} fits --only {' '.join(only)}. Its tasks are "
            f"{', '.join(task for group in study.groups for task in group.tasks)}, and its lines "
            f"{', '.join(lines)}."
        )
    return found


def runs_named(file: StudyFile, names: Sequence[str]) -> list[Run]:
    """The runs with some names; settings are made for their tasks alone."""
    tasks = {name.partition("/")[0] for name in names}
    found = {
        run.name: run
        for g, group in enumerate(file.study.groups)
        for task in group.tasks
        if slug(task) in tasks
        for run in _of_task(file, g, group, task, ())
    }
    return [found[name] for name in names]


def lines_of(study: Study) -> list[tuple[int, str, Variant | None]]:
    """(number of the variant, algorithm, variant) of every line of a study."""
    plain = [(-1, algo, None) for algo in study.algorithms] if study.unvaried else []
    return plain + [
        (i, algo, variant)
        for i, variant in enumerate(study.variants)
        for algo in variant.algorithms or study.algorithms
    ]


def is_for(task: str, variant: Variant | None) -> bool:
    """Whether a variant is for a task; an algorithm without a variant is for all."""
    patterns = variant.tasks if variant else ()
    return not patterns or any(fnmatch.fnmatch(task, pattern) for pattern in patterns)


def fits(task: str, line: str, only: Sequence[str]) -> bool:
    """Whether a task and a line fit one of the patterns, if there are any."""
    for pattern in only:
        tasks, both, lines = pattern.rpartition(":")
        if both:
            if fnmatch.fnmatch(task, tasks) and fnmatch.fnmatch(line, lines):
                return True
        elif fnmatch.fnmatch(task, pattern) or fnmatch.fnmatch(line, pattern):
            return True
    return not only


def _of_task(file: StudyFile, g: int, group: Group, task: str, only: Sequence[str]) -> list[Run]:
    study = file.study
    lines = [(i, algo, variant) for i, algo, variant in lines_of(study) if is_for(task, variant)]
    if not any(fits(task, label(algo, variant), only) for _, algo, variant in lines):
        return []
    try:
        check_id(task)
    except ConfigError as error:
        raise file.wrong(error, "groups", g, "tasks") from error
    # all lines, also those left out: what they have in common does not depend on the patterns
    configs = {
        label(algo, variant): config_of(file, g, group, task, algo, i, variant)
        for i, algo, variant in lines
    }
    every = interval_of(file, g, group, task, list(configs.values()))
    return [
        Run(
            study=study.name,
            group=group.name,
            task=task,
            line=line,
            seed=seed,
            config=evaluated(study, config, seed, every),
            absolute_episodes=study.evaluation.absolute_episodes,
        )
        for line, config in configs.items()
        if fits(task, line, only)
        for seed in seeds_of(study)
    ]


def _check_metric(file: StudyFile, g: int, group: Group, task: str) -> None:
    """Check that a task's episodes have the group's metric, unless its engine is not here."""
    if not group.metric or group.metric in EPISODES_HAVE:
        return
    try:
        require_env(task)
    except ConfigError:  # told where it is needed: records can be read without the engine
        return
    spec = make_env(task).spec
    known = [*EPISODES_HAVE, *(["win"] if spec.has_win else []), *spec.outcomes]
    if group.metric not in known:
        raise file.wrong(
            f"metric must be one of {', '.join(known)} on {task}, but is '{group.metric}'.",
            *("groups", g, "metric"),
        )


def _check_names(file: StudyFile, runs: Sequence[Run]) -> None:
    seen: dict[str, Run] = {}
    for run in runs:
        other = seen.setdefault(run.name, run)
        if other is not run:
            raise ConfigError(
                f"{file.path}: two runs would have the record {run.name}: {other.line} on "
                f"{other.task} and {run.line} on {run.task}. Rename a variant."
            )


def _check_patterns(file: StudyFile) -> None:
    tasks = [task for group in file.study.groups for task in group.tasks]
    for i, variant in enumerate(file.study.variants):
        for pattern in variant.tasks:
            if not fnmatch.filter(tasks, pattern):
                raise file.wrong(
                    f"'{pattern}' fits none of the study's tasks: {', '.join(tasks)}.",
                    *("variants", i, "tasks"),
                )


def folder_of(run: Run, runs: Path) -> Path:
    """The folder of a run's checkpoints, of use until its record is written."""
    return runs / run.study / run.cell / f"seed{run.seed}"
