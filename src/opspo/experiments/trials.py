"""The trials of a tuning, one algorithm's after one another.

Optuna keeps them in an SQLite file. A trial that was interrupted stays open there and continues,
and what a trial draws depends on its number and on the trials before it alone. So an interrupted
tuning has the same trials as one that ran straight through.
"""

from __future__ import annotations

import math
import tomllib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from opspo.errors import ConfigError, Interrupted
from opspo.experiments.grid import Run, runs_of
from opspo.experiments.plan import Job, Places, jobs_of
from opspo.experiments.records import Record, path_of, read_record
from opspo.experiments.statistics import mean
from opspo.experiments.study_file import StudyFile, parse
from opspo.experiments.task_scores import scores_of
from opspo.experiments.toml_writer import toml
from opspo.experiments.tuning_file import OWN, Tuning
from opspo.run_folder import replace_text

STARTUP_TRIALS = 4
"""Trials at random before the sampler models the space, and before anything is pruned"""
WHY = "why"
"""Attribute of a trial that failed: the reason"""
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
"""State of a trial that has ended, in Optuna → in the record"""

CarryOut = Callable[[Sequence[Job]], Sequence[Job]]
"""Carries out jobs, and returns those that failed"""


class _FailedError(Exception):
    """A trial has no score, for the reason in the text."""


@dataclass(frozen=True)
class Search:
    """The trials of one algorithm."""

    algo: str
    tuning: Tuning
    places: Places
    carry_out: CarryOut
    storage: Any
    """Optuna's, an `RDBStorage`"""
    study: Any
    """In it"""

    def ended(self) -> list[Any]:
        """The trials that have ended, in their order, as many as the file asks for at most."""
        ended = [trial for trial in self.study.trials if trial.state.name in STATES]
        return ended[: self.tuning.trials]

    def finish(self) -> None:
        """Carry out the trials that are left.

        Raises:
            RunError: a record cannot be read, or was made with other settings.
            Interrupted: a job was stopped; its trial continues next time.
        """
        while len(self.ended()) < self.tuning.trials:
            _try(self, _next_trial(self))


def open_search(
    algo: str, tuning: Tuning, places: Places, carry_out: CarryOut, storage: Any
) -> Search:
    """The trials of an algorithm in Optuna's storage, as far as there are any."""
    import optuna  # noqa: PLC0415

    study = optuna.create_study(
        study_name=algo,
        storage=storage,
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
    )
    return Search(algo, tuning, places, carry_out, storage, study)


def record_of_search(search: Search) -> dict[str, Any]:
    """Its best settings and all its trials, for the record.

    Where every trial failed, the best settings and their score are None.
    """

    def settings(trial: Any) -> dict[str, Any]:
        return {choice.name: choice.of(trial) for choice in search.tuning.space}

    trials = [
        {
            "settings": settings(trial),
            "score": trial.value,
            "state": STATES[trial.state.name],
            "by_task": {str(step): value for step, value in trial.intermediate_values.items()},
        }
        | ({WHY: trial.user_attrs[WHY]} if WHY in trial.user_attrs else {})
        for trial in search.ended()
    ]
    complete = [trial for trial in trials if trial["state"] == "complete"]
    best = max(complete, key=lambda trial: trial["score"], default={})
    return {"settings": best.get("settings"), "score": best.get("score"), "trials": trials}


def _next_trial(search: Search) -> Any:
    """The trial that was interrupted, or else a new one."""
    import optuna  # noqa: PLC0415

    is_open = (optuna.trial.TrialState.RUNNING,)
    for trial in search.study.get_trials(states=is_open):
        study = search.storage.get_study_id_from_name(search.study.study_name)
        found = search.storage.get_trial_id_from_study_id_trial_number(study, trial.number)
        return optuna.trial.Trial(search.study, found)
    return search.study.ask()


def _try(search: Search, trial: Any) -> None:
    """Carry out a trial. One that is interrupted stays open."""
    import optuna  # noqa: PLC0415

    states = optuna.trial.TrialState
    try:
        score = _score(search, trial)
    except optuna.TrialPruned:
        search.study.tell(trial, state=states.PRUNED)
    except _FailedError as error:
        trial.set_user_attr(WHY, str(error))
        search.study.tell(trial, state=states.FAIL)
    else:
        search.study.tell(trial, score)


def _settings(search: Search, trial: Any) -> dict[str, Any]:
    """The settings of a trial, drawn where it has none yet."""
    import optuna  # noqa: PLC0415

    found = {}
    for choice in search.tuning.space:
        # a seed for each draw: they are the same in whichever process it is made
        search.study.sampler = optuna.samplers.TPESampler(
            seed=zlib.crc32(f"{trial.number} {choice.name}".encode()),
            n_startup_trials=STARTUP_TRIALS,
        )
        found[choice.name] = choice.suggest(trial)
    return found


def _score(search: Search, trial: Any) -> float:
    """The mean normalised score of a trial over tasks and seeds, one task after another.

    Raises:
        TrialPruned: after a task, the trial is worse than the median of those before it.
        _FailedError: it has no score.
    """
    import optuna  # noqa: PLC0415

    file = _trial_file(search, trial.number, _settings(search, trial))
    try:
        runs = runs_of(file)
    except ConfigError as error:
        raise _FailedError(str(error)) from error
    reported = search.study.trials[trial.number].intermediate_values
    records: list[Record] = []
    score = math.nan
    for step, task in enumerate(dict.fromkeys(run.task for run in runs)):
        ours = [run for run in runs if run.task == task]
        _carry_out(search, file, ours)
        records += [read_record(path_of(run, search.places.results)) for run in ours]
        scores = scores_of(records, file.study)
        score = float(mean([each.normalised(each.absolute[search.algo]) for each in scores]))
        if not math.isfinite(score):
            raise _FailedError(f"Its score after {task} is {score}.")
        if step not in reported:
            trial.report(score, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return score


def _carry_out(search: Search, file: StudyFile, runs: Sequence[Run]) -> None:
    """Carry out the runs of a trial that have no record yet.

    Raises:
        _FailedError: a job failed.
        Interrupted: a job was stopped.
    """
    if not (jobs := jobs_of(file, runs, search.places)):
        return
    if failed := search.carry_out(jobs):
        raise _FailedError(f"{failed[0].name} failed:\n{failed[0].why_it_failed}")
    for job in jobs:
        if not all(path_of(run, search.places.results).is_file() for run in job.runs):
            raise Interrupted(
                f"{job.name} was stopped before its end. Run the same command to continue."
            )


def _trial_file(search: Search, number: int, settings: dict[str, Any]) -> StudyFile:
    """The study of one trial, in a file that its jobs read."""
    base = search.tuning.base
    name = f"{base.study.name}-{search.algo}-{number}"
    own = {"name": name, "algorithms": [search.algo], "settings": base.study.settings | settings}
    data = {key: value for key, value in tomllib.loads(base.text).items() if key not in OWN}
    path = search.places.runs / base.study.name / f"{search.algo}-{number}.toml"
    replace_text(path, text := toml(data | own))
    return parse(text, path)
