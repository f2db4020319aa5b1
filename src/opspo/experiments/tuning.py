"""Fair tuning with Optuna: the same trials, tasks and seeds for every algorithm.

A tuning file is a study's file with a space and a number of trials. Every algorithm gets a study
of its own in Optuna, in one SQLite file, so that an interrupted tuning can continue. The record
that is committed is JSON.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from opspo.errors import ConfigError
from opspo.experiments.grid import Run, runs_of
from opspo.experiments.plan import Job, Places, jobs_of
from opspo.experiments.records import path_of, read_record
from opspo.experiments.statistics import mean
from opspo.experiments.study_file import StudyFile, parse
from opspo.experiments.task_scores import scores_of
from opspo.run_folder import replace_text

STARTUP_TRIALS = 4
"""Trials at random before the sampler models the space, and before anything is pruned"""


@dataclass(frozen=True)
class Choice:
    """The values that a setting may take in a trial."""

    name: str
    values: tuple[Any, ...] = ()
    """One of these; otherwise from `low` to `high`"""
    low: float = 0.0
    high: float = 0.0
    log: bool = False

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


def read_tuning(path: str | Path) -> Tuning:
    """Read a tuning file: a study's, with `trials` and a table `[space]`.

    Raises:
        ConfigError: it cannot be read, or a part of it is wrong; the message says which.
    """
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The tuning {path} cannot be read: {error}") from error
    trials, space = data.pop("trials", None), data.pop("space", None)
    if type(trials) is not int or trials < 1:
        raise ConfigError(f"{path}: trials must be a whole number from 1, but is {trials!r}.")
    if not isinstance(space, dict) or not space:
        raise ConfigError(f"{path}: it needs a table [space] of settings and their values.")
    if data.get("variants"):
        raise ConfigError(f"{path}: a tuning has no variants; tune each as a file of its own.")
    base = parse(toml(data), path)
    runs_of(base)
    choices = tuple(_choice(path, name, value) for name, value in space.items())
    return Tuning(base, choices, trials)


def _choice(path: Path, name: str, value: Any) -> Choice:
    if isinstance(value, list) and value:
        return Choice(name, tuple(value))
    is_range = isinstance(value, dict) and {"low", "high"} <= set(value) <= {"low", "high", "log"}
    if is_range and value["low"] < value["high"]:
        return Choice(name, (), value["low"], value["high"], bool(value.get("log")))
    raise ConfigError(
        f'{path}: space."{name}" must be a list of values, or {{low = …, high = …, log = true}}, '
        f"but is {value!r}."
    )


def tune(
    tuning: Tuning, places: Places, carry_out: Callable[[Sequence[Job]], Sequence[Job]]
) -> dict[str, Any]:
    """Carry out what is left of a tuning, and write its record.

    Args:
        tuning: the file.
        places: where runs and records go.
        carry_out: carries out jobs, and returns those that failed.

    Returns:
        The record: of each algorithm its best settings and every trial.
    """
    import optuna  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = tuning.base.study
    folder = places.runs / study.name
    folder.mkdir(parents=True, exist_ok=True)
    storage = f"sqlite:///{(folder / 'tuning.db').resolve()}"
    found = {}
    for algo in study.algorithms:
        search = optuna.create_study(
            study_name=algo,
            storage=storage,
            direction="maximize",
            load_if_exists=True,
            sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=STARTUP_TRIALS),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
        )
        _queue_again(search)
        while (left := tuning.trials - _ended(search)) > 0:
            search.optimize(
                lambda trial, algo=algo: _score(trial, algo, tuning, places, carry_out),
                n_trials=left,
            )
        found[algo] = _record(search, tuning)
    record = {
        "trials": tuning.trials,
        "space": {choice.name: _described(choice) for choice in tuning.space},
        "tasks": [task for group in study.groups for task in group.tasks],
        "seeds": study.seeds,
        "algorithms": found,
    }
    out = places.results / study.name / "tuning.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_text(out, json.dumps(record, indent=1) + "\n")
    return record


def _queue_again(search: Any) -> None:
    """Queue the trials that were interrupted again, with the same values."""
    from optuna.trial import TrialState  # noqa: PLC0415

    for trial in search.get_trials(states=(TrialState.RUNNING,)):
        search.tell(trial.number, state=TrialState.FAIL)
        search.enqueue_trial(trial.params, user_attrs={"again": trial.number})


def _ended(search: Any) -> int:
    from optuna.trial import TrialState  # noqa: PLC0415

    return len(search.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))


def _score(
    trial: Any,
    algo: str,
    tuning: Tuning,
    places: Places,
    carry_out: Callable[[Sequence[Job]], Sequence[Job]],
) -> float:
    """The mean normalised score of a trial over tasks and seeds, one task after another.

    Raises:
        TrialPruned: after a task, the trial is worse than the median of those before it.
        ConfigError: a job failed.
    """
    import optuna  # noqa: PLC0415

    settings = {choice.name: choice.suggest(trial) for choice in tuning.space}
    number = trial.user_attrs.get("again", trial.number)
    file = _trial_file(tuning, algo, number, settings, places)
    runs = runs_of(file)
    reached: list[Run] = []
    score = 0.0
    for step, task in enumerate(dict.fromkeys(run.task for run in runs)):
        ours = [run for run in runs if run.task == task]
        failed = carry_out(jobs_of(file, ours, places))
        if failed:
            raise ConfigError(
                f"Trial {number} of {algo} failed with {settings}:\n{failed[0].why_it_failed}\n"
                "Fix the cause, or leave such values out of the space, and tune again."
            )
        reached += ours
        records = [read_record(path_of(run, places.results)) for run in reached]
        scores = scores_of(records, file.study)
        score = float(mean([each.normalised(each.absolute[algo]) for each in scores]))
        trial.report(score, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return score


def _trial_file(
    tuning: Tuning, algo: str, number: int, settings: dict[str, Any], places: Places
) -> StudyFile:
    """The study of one trial, in a file that its jobs read."""
    study = tuning.base.study
    name = f"{study.name}-{algo}-{number}"
    text = toml(
        tomllib.loads(tuning.base.text)
        | {"name": name, "algorithms": [algo], "settings": study.settings | settings}
    )
    path = places.runs / study.name / f"{algo}-{number}.toml"
    path.write_text(text)
    file = parse(text, path)
    return replace(file, study=replace(file.study, name=name))


def _record(search: Any, tuning: Tuning) -> dict[str, Any]:
    def settings(trial: Any) -> dict[str, Any]:
        return {choice.name: choice.of(trial) for choice in tuning.space}

    trials = [
        {
            "settings": settings(trial),
            "score": trial.value,
            "state": trial.state.name.lower(),
            "by_task": {str(step): value for step, value in trial.intermediate_values.items()},
        }
        for trial in search.trials
        if trial.state.name in ("COMPLETE", "PRUNED")
    ]
    best = search.best_trial
    return {"settings": settings(best), "score": best.value, "trials": trials}


def _described(choice: Choice) -> Any:
    if choice.values:
        return list(choice.values)
    return {"low": choice.low, "high": choice.high, "log": choice.log}


def toml(data: dict[str, Any]) -> str:
    """Plain data as TOML: the standard library only reads it."""
    own = {name: value for name, value in data.items() if not _is_table(value)}
    lines = [f"{json.dumps(name)} = {_value(value)}" for name, value in own.items()]
    for name, value in data.items():
        if isinstance(value, dict):
            lines += [f"[{json.dumps(name)}]"]
            lines += [f"{json.dumps(key)} = {_value(each)}" for key, each in value.items()]
        elif _is_table(value):
            for each in value:
                lines += [f"[[{json.dumps(name)}]]"]
                lines += [f"{json.dumps(key)} = {_value(item)}" for key, item in each.items()]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    several = isinstance(value, list | tuple) and value and isinstance(value[0], dict)
    return isinstance(value, dict) or bool(several)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(key)} = {_value(each)}" for key, each in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and not np.isfinite(value):
        return "nan" if np.isnan(value) else f"{'-' if value < 0 else ''}inf"
    return json.dumps(value)
