"""The file of a tuning: a study's, with a number of trials and the space of its settings."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from opspo.algorithms import ALGORITHMS
from opspo.config import TrainConfig
from opspo.config.changes import Change, flat
from opspo.config.files import with_settings
from opspo.config.own import plain_settings
from opspo.errors import ConfigError
from opspo.experiments.grid import runs_of
from opspo.experiments.study_file import StudyFile, parse
from opspo.experiments.toml_lines import without

OWN = ("trials", "space")
"""Parts of the file that a study's does not have"""
FREE = ("trials", "algorithms", "films", "seeds_per_process", "tuning")
"""Parts that may change while a tuning is under way: no trial's score depends on them"""
RANGE = {"low", "high", "log"}


@dataclass(frozen=True)
class Choice:
    """The values that a setting may take in a trial."""

    name: str
    values: tuple[Any, ...] = ()
    """One of these; otherwise from `low` to `high`"""
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @property
    def tried(self) -> tuple[Any, ...]:
        """Values that show whether all of them are allowed."""
        return self.values or (self.low, self.high)

    @property
    def plain(self) -> Any:
        """As the file has it."""
        if self.values:
            return list(self.values)
        return {"low": self.low, "high": self.high, "log": self.log}

    def suggest(self, trial: Any) -> Any:
        """A value for a trial of Optuna."""
        if self.values:
            # by its place: Optuna stores nothing but plain values
            trial.suggest_categorical(self.name, range(len(self.values)))
        else:
            trial.suggest_float(self.name, self.low, self.high, log=self.log)
        return self.of(trial)

    def of(self, trial: Any) -> Any:
        """The value in a trial that has one."""
        found = trial.params[self.name]
        return self.values[found] if self.values else found


@dataclass(frozen=True)
class Tuning:
    """A tuning file."""

    base: StudyFile
    """The study that each trial is, but for the settings of the space"""
    space: tuple[Choice, ...]
    trials: int
    """For each algorithm"""

    @property
    def content(self) -> dict[str, Any]:
        """What the scores of trials depend on: name → value, as `groups.0.steps`."""
        data = {key: each for key, each in tomllib.loads(self.base.text).items() if key not in FREE}
        groups = {str(i): group for i, group in enumerate(data.get("groups", []))}
        found: dict[str, Any] = json.loads(json.dumps(flat(data | {"groups": groups}), default=str))
        return found

    def check_unchanged(self, content: Mapping[str, Any]) -> None:
        """Check that trials with some content are this file's.

        Raises:
            ConfigError: they are of another; the message names the differences and the line of the
                first.
        """
        now = self.content
        changed = [
            Change(name, content.get(name), now.get(name))
            for name in dict.fromkeys([*now, *content])
            if json.dumps(content.get(name)) != json.dumps(now.get(name))
        ]
        if changed:
            said = "; ".join(change.said("when this tuning began") for change in changed)
            keys = [int(key) if key.isdecimal() else key for key in changed[0].name.split(".")]
            raise self.base.wrong(
                f"{said}. Its trials cannot be mixed. Restore the file, or give the tuning another "
                "name.",
                *keys,
            )


@dataclass(frozen=True)
class _Tried(StudyFile):
    """A tuning's file with values of its space among the settings."""

    values: Mapping[str, Any]

    def wrong(self, error: Exception | str, *keys: str | int) -> ConfigError:
        """An error in a part of the file, which for a setting of the space is in the space."""
        if keys[:1] == ("settings",) and keys[-1] in self.values:
            return super().wrong(error, "space", keys[-1])
        if keys[-1:] == ("steps",):
            error = f"{error} This is with {json.dumps(self.values)}."
        return super().wrong(error, *keys)


def read_tuning(path: str | Path) -> Tuning:
    """Read a tuning file: a study's, with `trials` and a table `[space]`.

    Raises:
        ConfigError: it cannot be read, or a part of it is wrong; the message names the line.
    """
    path = Path(path)
    try:
        text = path.read_text()
        data = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The tuning {path} cannot be read: {error}") from error
    base = replace(parse(without(text, OWN), path), text=text)
    trials, space = data.get("trials"), data.get("space")
    if type(trials) is not int or trials < 1:
        raise base.wrong(f"trials must be a whole number from 1, but is {trials!r}.", "trials")
    if not isinstance(space, dict) or not space:
        raise base.wrong("a tuning needs a table [space] of settings and their values.", "space")
    _check_lines(base)
    choices = tuple(_choice(base, name, value) for name, value in _leaves(space))
    _check_names(base, choices)
    _check_values(base, choices)
    return Tuning(base, choices, trials)


def _check_lines(base: StudyFile) -> None:
    study = base.study
    if study.variants:
        raise base.wrong("a tuning has no variants; tune each in a file of its own.", "variants", 0)
    if not study.algorithms or len(set(study.algorithms)) < len(study.algorithms):
        raise base.wrong("algorithms must be different, and at least one.", "algorithms")


def _leaves(part: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Each setting, however its name is written, and what stands there; a range stays whole."""
    found: list[tuple[str, Any]] = []
    for name, value in part.items():
        is_section = isinstance(value, dict) and value and not RANGE & set(value)
        found += _leaves(value, f"{prefix}{name}.") if is_section else [(prefix + name, value)]
    return found


def _choice(base: StudyFile, name: str, value: Any) -> Choice:
    if isinstance(value, list) and value:
        try:
            texts = [json.dumps(each) for each in value]
        except TypeError as error:  # TOML has dates too
            raise base.wrong(
                f"{name} cannot be any of {value!r}: {error}.", "space", name
            ) from error
        if len(set(texts)) < len(texts):
            raise base.wrong(f"{name} has the same value twice: {value!r}.", "space", name)
        return Choice(name, tuple(value))
    if not isinstance(value, dict) or not {"low", "high"} <= set(value) <= RANGE:
        raise base.wrong(
            f"{name} must be a list of values, or {{low = …, high = …, log = true}}, but is "
            f"{value!r}.",
            *("space", name),
        )
    low, high, log = value["low"], value["high"], value.get("log", False)
    are_numbers = all(type(each) in (int, float) and math.isfinite(each) for each in (low, high))
    if not are_numbers or not low < high or type(log) is not bool or (log and low <= 0):
        raise base.wrong(
            f"the range of {name} must have two numbers low < high, both above 0 if log = true, "
            f"but is {value!r}.",
            *("space", name),
        )
    return Choice(name, (), float(low), float(high), log)


def _check_names(base: StudyFile, choices: tuple[Choice, ...]) -> None:
    """Check that each setting is in the space once, and nowhere else in the file."""
    study, names = base.study, [choice.name for choice in choices]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise base.wrong(f"{name} is there twice.", "space", name)
    places: list[tuple[Mapping[str, Any], tuple[str | int, ...]]] = [
        (study.settings, ("settings",)),
        *((group.settings, ("groups", g, "settings")) for g, group in enumerate(study.groups)),
    ]
    for settings, keys in places:
        for name in flat(dict(settings)):
            if name in names:
                raise base.wrong(
                    f"{name} has a value here and several in [space]. Leave one of them out.",
                    *(*keys, name),
                )


def _check_values(base: StudyFile, choices: tuple[Choice, ...]) -> None:
    """Try every listed value and both ends of each range, for every algorithm and task.

    The other settings of the space have their first value meanwhile.
    """
    kinds = {
        name: type(value)
        for algo in base.study.algorithms
        for name, value in _defaults(algo).items()
    }
    for choice in choices:
        if not choice.values and kinds.get(choice.name, float) is not float:
            raise base.wrong(
                f"{choice.name} cannot be any number from low to high. List its values, as in "
                "[1, 2, 3].",
                *("space", choice.name),
            )
    first = {choice.name: choice.tried[0] for choice in choices}
    runs_of(_with(base, first))
    # what a metric is does not depend on settings, and is slow to check
    groups = tuple(replace(group, metric="") for group in base.study.groups)
    light = replace(base, study=replace(base.study, groups=groups))
    for choice in choices:
        for value in choice.tried:
            runs = runs_of(_with(light, first | {choice.name: value}))
        if not any(choice.name in flat(plain_settings(run.config)) for run in runs):
            raise base.wrong(
                f"{choice.name} is a setting of none of {', '.join(base.study.algorithms)}.",
                *("space", choice.name),
            )


def _with(base: StudyFile, values: Mapping[str, Any]) -> StudyFile:
    study = replace(base.study, settings=base.study.settings | dict(values))
    return _Tried(base.path, base.text, study, values)


def _defaults(algo: str) -> dict[str, Any]:
    config = TrainConfig(algo=algo, algorithm=ALGORITHMS[algo]())
    # as a file has them: numbers in the types of their fields
    return flat(plain_settings(with_settings(config, {})))
