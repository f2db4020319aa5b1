"""Tuning: the same trials for every algorithm, resumed where it was stopped, with its record."""

import json
import tomllib

import pytest
from small_study import TEXT, made_up

from opspo.cli import main
from opspo.errors import ConfigError
from opspo.experiments.plan import Places
from opspo.experiments.records import path_of, write_record
from opspo.experiments.tuning import read_tuning, toml, tune

SPACE = """
[space]
"algorithm.clip" = [0.15, 0.2]
"optimiser.actor_learning_rate" = {low = 1e-4, high = 1e-2, log = true}
"""


def tuning_at(folder, *, trials=5, space=SPACE):
    path = folder / "tune.toml"
    path.write_text(f"trials = {trials}\n{TEXT}{space}")
    return path


def skilled(runs):
    """Records in place of training: skill is the step size, in hundredths."""
    for job in runs:
        for run in job.runs:
            skill = 100 * run.config.optimiser.actor_learning_rate
            write_record(made_up(run, skill=skill), path_of(run, job.places.results))
    return []


def test_every_algorithm_gets_the_same_trials_and_its_best_is_found(tmp_path):
    where = Places(tmp_path / "runs", tmp_path / "results")
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
    written = json.loads((tmp_path / "results" / "small" / "tuning.json").read_text())
    assert written == json.loads(json.dumps(record))


def test_a_tuning_goes_on_where_it_was_stopped(tmp_path):
    where, path = Places(tmp_path / "runs", tmp_path / "results"), tuning_at(tmp_path)
    carried = []

    def stops(jobs):
        if len(carried) == 3:
            raise KeyboardInterrupt
        carried.append(jobs[0].file.study.name if jobs else "")
        return skilled(jobs)

    with pytest.raises(KeyboardInterrupt):
        tune(read_tuning(path), where, stops)
    record = tune(read_tuning(path), where, skilled)
    assert [len(found["trials"]) for found in record["algorithms"].values()] == [5, 5]
    whole = Places(tmp_path / "whole", tmp_path / "whole")
    expected = tune(read_tuning(path), whole, skilled)["algorithms"]["opspo"]
    assert record["algorithms"]["opspo"]["trials"] == expected["trials"]


def test_a_failed_job_ends_the_tuning_with_its_reason(tmp_path):
    where = Places(tmp_path / "runs", tmp_path / "results")
    with pytest.raises(ConfigError, match=r"Trial 0 of mappo failed with .*algorithm\.clip"):
        tune(read_tuning(tuning_at(tmp_path)), where, lambda jobs: jobs)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trials": 0}, "trials must be a whole number from 1"),
        ({"space": ""}, r"needs a table \[space\]"),
        ({"space": '[space]\n"algorithm.clip" = 3'}, r'space\."algorithm\.clip" must be a list'),
        (
            {"space": '[space]\n"algorithm.clip" = {low = 2.0, high = 1.0}'},
            "must be a list of values, or",
        ),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path, changes, told):
    with pytest.raises(ConfigError, match=told):
        read_tuning(tuning_at(tmp_path, **changes))


def test_plain_data_as_toml_is_read_as_it_was():
    data = {
        "name": "x",
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
    path.write_text(text.replace('"0..1"', "[0]").replace('"mappo", ', ""))
    main(["tune", str(path)])
    shown = capsys.readouterr().out
    assert "opspo: 1.000 with algorithm.clip = " in shown and "tuning.json" in shown
