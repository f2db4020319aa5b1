"""The settings of a study's runs: presets, changes, the study's own, and the evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from opspo.algorithms import ALGORITHMS
from opspo.config import TrainConfig
from opspo.config.changes import flat
from opspo.config.files import with_settings
from opspo.environments import make_env
from opspo.errors import ConfigError, unknown_name
from opspo.experiments.study_file import Group, Study, StudyFile, Variant
from opspo.presets import PRESETS, preset_config, variant_config

TAKEN = (
    *("env", "algo", "seed", "total_steps", "run_dir", "composed_by", "tensorboard"),
    *("checkpoint.every_steps", "checkpoint.keep"),
    *(
        f"evaluation.{name}"
        for name in ("every_steps", "episodes", "final_episodes", "at_end", "greedy")
    ),
)
"""Settings that the grid itself chooses"""


def label(algo: str, variant: Variant | None) -> str:
    """The name of a line."""
    return f"{algo}, {variant.name}" if variant else algo


def config_of(
    file: StudyFile, g: int, group: Group, task: str, algo: str, i: int, variant: Variant | None
) -> TrainConfig:
    """A line's settings on a task, but for the seed and the evaluation.

    Args:
        file: the study.
        g: number of the group.
        group: the task's.
        task: id of the environment.
        algo: the line's algorithm.
        i: number of the variant.
        variant: the line's, if it is one.

    Raises:
        ConfigError: a setting or the preset is unknown or does not fit; the message names the line.
    """
    study = file.study
    preset = (variant and variant.preset) or study.preset
    where: tuple[Any, ...] = ("variants", i) if variant else ("algorithms",)
    if preset not in PRESETS:
        keys = (*where, "preset") if variant and variant.preset else ("preset",)
        raise file.wrong(unknown_name("preset", preset, PRESETS), *keys)
    try:
        config = preset_config(preset, task, algo)
    except ConfigError as error:
        raise file.wrong(f"{label(algo, variant)} on {task}: {error}", *where) from error
    config = _changed(file, config, study.settings, ALGORITHMS, "settings")
    config = _changed(file, config, group.settings, ALGORITHMS, "groups", g, "settings")
    if variant and variant.change:
        try:
            agents = make_env(task).spec.num_agents
            config = variant_config(variant.change, config, num_agents=agents, preset=preset)
        except ConfigError as error:
            raise file.wrong(error, *where, "change") from error
    if variant:
        others = variant.algorithms or study.algorithms
        config = _changed(file, config, variant.settings, others, "variants", i, "settings")
    return replace(config, total_steps=group.steps or study.steps, tensorboard=False)


def _changed(
    file: StudyFile,
    config: TrainConfig,
    settings: dict[str, Any],
    others: Iterable[str],
    *keys: str | int,
) -> TrainConfig:
    """A config with the settings of one part of the file.

    Settings that it lacks and one of the algorithms `others` has are left out.
    """
    for name, value in flat(settings).items():
        if name in TAKEN:
            raise file.wrong(
                f"{name} is not a setting of a study: the grid chooses it.", *keys, name
            )
        if _is_of_others(name, config, others):
            continue
        try:
            config = with_settings(config, {name: value})
        except ConfigError as error:
            raise file.wrong(error, *keys, name) from error
    return config


def _is_of_others(name: str, config: TrainConfig, others: Iterable[str]) -> bool:
    """Whether only others have a setting, as only sequential algorithms have an order."""
    section, _, last = name.partition(".")
    return (
        section == "algorithm"
        and not hasattr(config.algorithm, last)
        and any(hasattr(ALGORITHMS[other](), last) for other in others)
    )


def interval_of(
    file: StudyFile, g: int, group: Group, task: str, configs: Sequence[TrainConfig]
) -> int:
    """Steps between two evaluations, the same for all lines of a task.

    It is the multiple of all lines' iterations that is nearest to an equal division.

    Raises:
        ConfigError: the steps are no multiple of them.
    """
    unit = math.lcm(*(config.steps_per_iteration for config in configs))
    steps = configs[0].total_steps
    if steps % unit:
        keys = ("groups", g, "steps") if group.steps else ("steps",)
        raise file.wrong(
            f"steps is {steps:,}, but must be a multiple of {unit:,} on {task}: of the steps "
            f"per iteration of every line. The nearest is {max(1, round(steps / unit)) * unit:,}.",
            *keys,
        )
    times = file.study.evaluation.times
    return max(1, round(steps / times / unit)) * unit


def evaluated(study: Study, config: TrainConfig, seed: int, every: int) -> TrainConfig:
    """A line's settings with a seed, evaluated every so many steps as the study says."""
    protocol = study.evaluation
    return replace(
        config,
        seed=seed,
        evaluation=replace(
            config.evaluation,
            every_steps=every,
            episodes=protocol.episodes,
            final_episodes=0,
            at_end=config.total_steps % every != 0,
            greedy=protocol.policy == "greedy",
        ),
        checkpoint=replace(config.checkpoint, every_steps=every, keep=1),
    )
