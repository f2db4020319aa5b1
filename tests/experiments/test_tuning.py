"""Tuning: the same trials for every algorithm, however often it is stopped, with its record."""

import dataclasses
import json
import shutil
import sys
import tomllib

import optuna
import pytest
from rich.console import Console
from small_study import made_up
from small_tuning import SPACE, TEXT, skilled, tuning_at

from opspo.cli import main
from opspo.errors import ConfigError, Interrupted, RunError
from opspo.evaluate import Evaluation
from opspo.experiments.local import Processes
from opspo.experiments.plan import STOPPED, Places
from opspo.experiments.records import path_of, write_record
from opspo.experiments.toml_writer import toml
from opspo.experiments.tuning import failed_here, tune
from opspo.experiments.tuning_file import read_tuning
from opspo.run_folder import RunFolder, hold

ENOUGH = 6
"""Trials of which some are sampled from a model, and some are pruned"""


def places_in(folder):
    return Places(folder / "runs", folder / "results")


def trials_of(record):
    """Algorithm → its trials, without the best."""
    return {algo: found["trials"] for algo, found in record["algorithms"].items()}


def name_of(jobs):
    """Trial and task of some jobs, such as `small-mappo-2 probe/credit`."""
    return f"{jobs[0].file.study.name} {jobs[0].runs[0].task}"


def test_every_algorithm_gets_the_same_trials_and_its_best_is_found(tmp_path):
    where = places_in(tmp_path)
    record = tune(read_tuning(tuning_at(tmp_path)), where, skilled)
    assert set(record["algorithms"]) == {"mappo", "opspo"}
    for found in record["algorithms"].values():
        assert len(found["trials"]) == 5
        rates = [trial["settings"]["optimiser.actor_learning_rate"] for trial in found["trials"]]
        assert found["settings"]["optimiser.actor_learning_rate"] == max(rates)
        assert all(trial["settings"]["algorithm.clip"] in (0.15, 0.2) for trial in found["trials"])
        assert found["score"] == pytest.approx(100 * max(rates), abs=0.05)
    first = [each["trials"][0]["settings"] for each in record["algorithms"].values()]
    assert first[0] == first[1], "they begin at the same places"
    written = json.loads((where.results / "small" / "tuning.json").read_text())
    assert written == json.loads(json.dumps(record))


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A tuning that ran straight through: its record, and what it carried out."""
    folder, carried = tmp_path_factory.mktemp("straight"), []

    def carry_out(jobs):
        carried.append(name_of(jobs))
        return skilled(jobs)

    record = tune(read_tuning(tuning_at(folder, trials=ENOUGH)), places_in(folder), carry_out)
    states = {trial["state"] for trials in trials_of(record).values() for trial in trials}
    assert states == {"complete", "pruned"} and len(carried) > 2 * ENOUGH
    return record, carried


@pytest.mark.parametrize(
    ("kind", "stops"),
    [(Interrupted, [3]), (KeyboardInterrupt, [3, 3, 3]), (Interrupted, [0, 9, 18])],
)
def test_a_tuning_that_was_stopped_has_the_trials_of_one_that_was_not(
    tmp_path, straight, kind, stops
):
    """However it ends, a trial that was stopped is the first to continue, in its own folder."""
    record, carried = straight
    path, seen = tuning_at(tmp_path, trials=ENOUGH), []
    for stop in stops:

        def carry_out(jobs, stop=stop):
            if len(seen) == stop:
                raise kind
            seen.append(name_of(jobs))
            return skilled(jobs)

        with pytest.raises(kind):
            tune(read_tuning(path), places_in(tmp_path), carry_out)

    def carry_on(jobs):
        seen.append(name_of(jobs))
        return skilled(jobs)

    assert tune(read_tuning(path), places_in(tmp_path), carry_on) == record
    assert seen == carried


@pytest.mark.parametrize(
    ("call", "at"), [("suggest_float", 2), ("suggest_float", 9), ("report", 9), ("should_prune", 3)]
)
def test_a_tuning_that_was_killed_within_a_trial_has_the_same_trials(
    tmp_path, straight, monkeypatch, call, at
):
    path, calls, whole = tuning_at(tmp_path, trials=ENOUGH), [], getattr(optuna.trial.Trial, call)

    def dies(self, *arguments, **named):
        calls.append(call)
        if len(calls) == at:
            raise KeyboardInterrupt
        return whole(self, *arguments, **named)

    monkeypatch.setattr(optuna.trial.Trial, call, dies)
    with pytest.raises(KeyboardInterrupt):
        tune(read_tuning(path), places_in(tmp_path), skilled)
    assert tune(read_tuning(path), places_in(tmp_path), skilled) == straight[0]


def test_a_job_that_stopped_by_itself_ends_the_tuning_and_its_trial_continues(tmp_path, straight):
    path = tuning_at(tmp_path, trials=ENOUGH)
    with pytest.raises(Interrupted, match="probe/credit mappo: seed 0 was stopped before its end"):
        tune(read_tuning(path), places_in(tmp_path), lambda jobs: [])
    assert tune(read_tuning(path), places_in(tmp_path), skilled) == straight[0]


@pytest.mark.parametrize(("status", "is_failure"), [(STOPPED, False), (1, True), (-9, True)])
def test_a_job_that_somebody_stopped_has_not_failed(tmp_path, monkeypatch, status, is_failure):
    jobs = []
    with pytest.raises(Interrupted):
        tune(read_tuning(tuning_at(tmp_path)), places_in(tmp_path), jobs.extend)
    monkeypatch.setattr(Processes, "carry", lambda self, job: status)
    failed = failed_here(jobs, workers=1, console=Console(quiet=True), title="")
    assert failed == (jobs if is_failure else [])


@pytest.mark.parametrize("before", [3, ENOUGH + 2])
def test_more_or_fewer_trials_are_those_of_a_tuning_with_as_many(tmp_path, straight, before):
    tune(read_tuning(tuning_at(tmp_path, trials=before)), places_in(tmp_path), skilled)
    path = tuning_at(tmp_path, trials=ENOUGH)
    assert tune(read_tuning(path), places_in(tmp_path), skilled) == straight[0]


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A folder with a tuning of one trial."""
    folder = tmp_path_factory.mktemp("tuned")
    tune(read_tuning(tuning_at(folder, trials=1)), places_in(folder), skilled)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[0.15, 0.2]", "[0.5, 0.9]", r"line 22: space\.algorithm\.clip was \[0\.15, 0\.2\] when"),
        ("[0.15, 0.2]", "[0.15, 0.2, 0.3]", r"and is \[0\.15, 0\.2, 0\.3\] now"),
        ("1e-2", "2e-2", r"line 23: space\.optimiser\.actor_learning_rate\.high was 0\.01"),
        ("steps = 512", "steps = 1024", "line 5: steps was 512 .* and is 1024 now"),
        ("[8]", "[16]", r"line 10: settings\.policy\.hidden_sizes was \[8\]"),
        ("[settings]", "[settings]\nvalue.clip = 0.1", "line 8: settings.value.clip was null"),
        ("episodes = 8", "episodes = 9", r"line 15: evaluation\.absolute_episodes was 8"),
        (', "probe/memory"]', "]", r"line 19: groups\.0\.tasks was \[\"probe/credit\", \"probe/m"),
        ("[0]", "[1]", r"line 4: seeds was \[0\] when"),
    ],
)
def test_a_file_with_another_content_is_refused(tmp_path, tuned, old, new, told):
    """Its old trials would be shown as trials of the new content."""
    shutil.copytree(tuned, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "tune.toml"
    before = (tmp_path / "results" / "small" / "tuning.json").read_text()
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=told):
        tune(read_tuning(path), places_in(tmp_path), skilled)
    assert (tmp_path / "results" / "small" / "tuning.json").read_text() == before


def test_what_no_score_depends_on_may_change(tmp_path):
    text = TEXT.replace('["mappo", "opspo"]', '["mappo"]')
    first = tune(
        read_tuning(tuning_at(tmp_path, trials=2, text=text)), places_in(tmp_path), skilled
    )
    text = TEXT.replace("[0]", "[0]  # one\nseeds_per_process = 1\nfilms = true")
    space = SPACE.replace('"algorithm.clip"', "algorithm.clip").replace("[0.15,", "[\n  0.15,")
    again = tune(
        read_tuning(tuning_at(tmp_path, trials=2, text=text, space=space)),
        places_in(tmp_path),
        skilled,
    )
    assert trials_of(again)["mappo"] == trials_of(first)["mappo"]
    assert len(trials_of(again)["opspo"]) == 2


def nan(jobs):
    """Records whose absolute metric is not a number in the trial 1 of mappo."""
    skilled(jobs)
    for job in jobs:
        for run in job.runs if run_is_bad(job) else ():
            record = dataclasses.replace(
                made_up(run, skill=1.0),
                absolute=Evaluation(returns=(float("nan"),) * 8, lengths=(3,) * 8, wins=None),
            )
            write_record(record, path_of(run, job.places.results))
    return []


def run_is_bad(job):
    return job.file.study.name == "small-mappo-1"


def failing(jobs):
    """Jobs that fail in the trial 1 of mappo."""
    if run_is_bad(jobs[0]):
        jobs[0].log.parent.mkdir(parents=True)
        jobs[0].log.write_text("A worker broke down.\n")
        return jobs
    return skilled(jobs)


@pytest.mark.parametrize(
    ("carry_out", "why"),
    [
        (nan, r"Its score after probe/credit is nan"),
        (failing, r"probe/credit mappo: seed 0 failed:\nA worker broke down\."),
    ],
)
def test_a_trial_without_a_score_counts_and_has_its_reason(tmp_path, carry_out, why):
    record = tune(read_tuning(tuning_at(tmp_path)), places_in(tmp_path), carry_out)
    trials = trials_of(record)["mappo"]
    assert [trial["state"] == "failed" for trial in trials] == [False, True, False, False, False]
    assert trials[1]["score"] is None
    assert pytest.raises(RunError, match=why).matches(RunError(trials[1]["why"]))
    assert record["algorithms"]["mappo"]["score"] == max(
        trial["score"] for trial in trials if trial["state"] == "complete"
    )
    assert len(trials_of(record)["opspo"]) == 5
    again = tune(read_tuning(tuning_at(tmp_path)), places_in(tmp_path), pytest.fail)
    assert again == record


def test_values_that_fit_alone_and_not_together_make_a_trial_fail(tmp_path):
    """Each fits with the first value of the other."""
    text = TEXT.replace('"rollout.num_envs" = 8\n"rollout.num_steps" = 16\n', "")
    text = text.replace("steps = 512", "steps = 1536")
    text = text.replace('["mappo", "opspo"]', '["mappo"]').replace(', "probe/memory"', "")
    space = '[space]\n"rollout.num_envs" = [8, 24]\n"rollout.num_steps" = [64, 192]\n'
    record = tune(
        read_tuning(tuning_at(tmp_path, text=text, space=space, trials=8)),
        places_in(tmp_path),
        skilled,
    )
    trials = trials_of(record)["mappo"]
    for trial in trials:
        is_too_long = trial["settings"] == {"rollout.num_envs": 24, "rollout.num_steps": 192}
        assert (trial["state"] == "failed") == is_too_long
        assert not is_too_long or "must be a multiple of 4,608" in trial["why"]
    assert {trial["state"] for trial in trials} >= {"complete", "failed"}


def test_an_algorithm_without_a_score_has_no_settings_and_the_command_says_why(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "opspo.experiments.tuning.failed_here",
        lambda jobs, **_: jobs if jobs[0].runs[0].line == "mappo" else skilled(jobs),
    )
    with pytest.raises(SystemExit) as left:
        main(["tune", str(tuning_at(tmp_path, trials=2))])
    shown = capsys.readouterr()
    assert left.value.code == 2
    assert "mappo: 2 of 2 trials failed\nopspo: 0." in shown.out
    assert "Every trial of mappo failed, the last one because:\nprobe/credit mappo" in shown.err
    written = json.loads((tmp_path / "results" / "small" / "tuning.json").read_text())
    mappo = written["algorithms"]["mappo"]
    assert mappo["settings"] is None and mappo["score"] is None and len(mappo["trials"]) == 2


@pytest.mark.parametrize("text", ["no database " * 100, "SQLite format 3\0" + "x" * 1000])
def test_a_file_that_is_no_database_is_told(tmp_path, text):
    (tmp_path / "runs" / "small").mkdir(parents=True)
    (tmp_path / "runs" / "small" / "tuning.db").write_text(text)
    with pytest.raises(RunError, match=r"tuning\.db cannot be used as Optuna's file of trials"):
        tune(read_tuning(tuning_at(tmp_path)), places_in(tmp_path), skilled)


def test_trials_of_unknown_content_are_refused(tmp_path):
    folder = tmp_path / "runs" / "small"
    folder.mkdir(parents=True)
    study = optuna.create_study(study_name="opspo", storage=f"sqlite:///{folder / 'tuning.db'}")
    study.ask()
    with pytest.raises(RunError, match="does not say what its trials were made with"):
        tune(read_tuning(tuning_at(tmp_path)), places_in(tmp_path), skilled)


def test_a_torn_record_is_written_anew(tmp_path):
    path = tuning_at(tmp_path, trials=2)
    record = tune(read_tuning(path), places_in(tmp_path), skilled)
    out = tmp_path / "results" / "small" / "tuning.json"
    whole = out.read_text()
    out.write_text(whole[:100])
    assert tune(read_tuning(path), places_in(tmp_path), pytest.fail) == record
    assert out.read_text() == whole


def test_two_processes_do_not_carry_out_the_same_tuning(tmp_path):
    (folder := tmp_path / "runs" / "small").mkdir(parents=True)
    with hold(RunFolder(folder)), pytest.raises(RunError, match="Another process"):
        tune(read_tuning(tuning_at(tmp_path)), places_in(tmp_path), skilled)


@pytest.mark.parametrize("name", ["runs", "results"])
def test_a_folder_that_cannot_be_made_is_told(tmp_path, name):
    (tmp_path / name).write_text("a file")
    with pytest.raises(RunError, match=f"{name}/small cannot be made.*--runs and --results"):
        tune(read_tuning(tuning_at(tmp_path)), places_in(tmp_path), skilled)


def test_without_optuna_it_is_told_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'opspo\[study\]'"):
        tune(read_tuning(tuning_at(tmp_path)), places_in(tmp_path), skilled)


def test_plain_data_as_toml_is_read_as_it_was():
    data = {
        "name": 'é 😀 "quoted"',
        "list": [1, 2.5, "three", True],
        "inf": float("inf"),
        "table": {"a.b": 1, "inner": {"x": [1]}},
        "rows": [{"name": "one", "settings": {"policy.hidden_sizes": [8]}}, {"name": "two"}],
    }
    assert tomllib.loads(toml(data)) == data


@pytest.mark.slow
@pytest.mark.full
def test_the_command_tunes(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tuning_at(tmp_path, trials=1)
    text = path.read_text().replace('"probe/credit", "probe/memory"', '"probe/credit"')
    path.write_text(text.replace('"mappo", ', ""))
    main(["tune", str(path)])
    shown = capsys.readouterr().out
    assert "opspo: 1.000 with algorithm.clip = " in shown and "tuning.json" in shown
