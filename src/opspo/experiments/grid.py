"""From a study's file to its runs, each with complete settings."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opspo.algorithms import ALGORITHMS
from opspo.config import TrainConfig
from opspo.config.changes import flat
from opspo.config.files import with_settings
from opspo.environments import check_id, make_env
from opspo.errors import ConfigError
from opspo.experiments.study_file import Group, Study, StudyFile, Variant, seeds_of
from opspo.presets import preset_config, variant_config

TAKEN = ("env", "algo", "seed", "total_steps", "run_dir", "composed_by")
"""Settings that the grid itself chooses"""


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
        ConfigError: there is no such task; a setting is unknown or does not fit; the budget is no
            multiple of an iteration; two runs have the same name; or nothing fits the patterns.
            The message names the line.
    """
    study = file.study
    found = []
    for g, group in enumerate(study.groups):
        for task in group.tasks:
            found += _of_task(file, g, group, task, only)
    _check_names(file, found)
    _check_patterns(file)
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


def label(algo: str, variant: Variant | None) -> str:
    """The name of a line."""
    return f"{algo}, {variant.name}" if variant else algo


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
        label(algo, variant): _config(file, g, group, task, algo, i, variant)
        for i, algo, variant in lines
    }
    every = _interval(file, g, group, task, list(configs.values()))
    return [
        Run(
            study=study.name,
            group=group.name,
            task=task,
            line=line,
            seed=seed,
            config=_evaluated(study, config, seed, every),
            absolute_episodes=study.evaluation.absolute_episodes,
        )
        for line, config in configs.items()
        if fits(task, line, only)
        for seed in seeds_of(study)
    ]


def _config(
    file: StudyFile, g: int, group: Group, task: str, algo: str, i: int, variant: Variant | None
) -> TrainConfig:
    """A line's settings on a task, but for the seed and the evaluation."""
    study = file.study
    preset = (variant and variant.preset) or study.preset
    where: tuple[Any, ...] = ("variants", i) if variant else ("algorithms",)
    try:
        config = preset_config(preset, task, algo)
    except ConfigError as error:
        raise file.wrong(f"{label(algo, variant)} on {task}: {error}", *where) from error
    parts: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
        (study.settings, ("settings",)),
        (group.settings, ("groups", g, "settings")),
    ]
    for settings, keys in parts:
        config = _changed(file, config, settings, *keys)
    if variant and variant.change:
        try:
            agents = make_env(task).spec.num_agents
            config = variant_config(variant.change, config, num_agents=agents, preset=preset)
        except ConfigError as error:
            raise file.wrong(error, *where, "change") from error
    if variant:
        config = _changed(file, config, variant.settings, "variants", i, "settings")
    return replace(config, total_steps=group.steps or study.steps, tensorboard=False)


def _changed(
    file: StudyFile, config: TrainConfig, settings: dict[str, Any], *keys: str | int
) -> TrainConfig:
    """A config with some settings, which stand in one part of the file."""
    for name, value in flat(settings).items():
        if name in TAKEN or name.startswith("evaluation."):
            raise file.wrong(
                f"{name} is not a setting of a study: the grid chooses it.", *keys, name
            )
        if keys[0] != "variants" and _is_of_others(name, config):
            continue
        try:
            config = with_settings(config, {name: value})
        except ConfigError as error:
            raise file.wrong(error, *keys, name) from error
    return config


def _is_of_others(name: str, config: TrainConfig) -> bool:
    """Whether only other algorithms have a setting, as only sequential ones have an order."""
    section, _, last = name.partition(".")
    return (
        section == "algorithm"
        and not hasattr(config.algorithm, last)
        and any(hasattr(kind(), last) for kind in ALGORITHMS.values())
    )


def _interval(
    file: StudyFile, g: int, group: Group, task: str, configs: Sequence[TrainConfig]
) -> int:
    """Steps between two evaluations, the same for all lines of a task.

    It is the multiple of all lines' iterations that is nearest to an equal division.
    """
    unit = math.lcm(*(config.steps_per_iteration for config in configs))
    steps = configs[0].total_steps
    if steps % unit:
        keys = ("groups", g, "steps") if group.steps else ("steps",)
        raise file.wrong(
            f"steps is {steps:,}, but must be a multiple of {unit:,} on {task}: of the iterations "
            f"of all its lines. The nearest is {max(1, round(steps / unit)) * unit:,}.",
            *keys,
        )
    times = file.study.evaluation.times
    return max(1, round(steps / times / unit)) * unit


def _evaluated(study: Study, config: TrainConfig, seed: int, every: int) -> TrainConfig:
    protocol = study.evaluation
    return replace(
        config,
        seed=seed,
        evaluation=replace(
            config.evaluation,
            every_steps=every,
            episodes=protocol.episodes,
            final_episodes=0 if config.total_steps % every == 0 else protocol.episodes,
            greedy=protocol.policy == "greedy",
        ),
        checkpoint=replace(config.checkpoint, every_steps=every, keep=1),
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
