"""Records: small, the same each time, refused where they do not fit."""

import gzip
import json
from dataclasses import replace

import pytest
from small_study import made_up, not_evaluated, study_at, write_all

from opspo.config.files import with_settings
from opspo.errors import ConfigError, RunError
from opspo.experiments.grid import runs_of
from opspo.experiments.marl_eval import marl_eval
from opspo.experiments.reading import read_scores
from opspo.experiments.records import (
    is_finished,
    path_of,
    read_record,
    same_but_for_times,
    write_record,
)
from opspo.experiments.task_scores import scores_of


@pytest.fixture
def run(tmp_path):
    return runs_of(study_at(tmp_path))[0]


def test_a_record_is_read_as_it_was_written(tmp_path, run):
    record = made_up(run, skill=0.5)
    path = path_of(run, tmp_path)
    write_record(record, path)
    assert read_record(path) == record
    again = tmp_path / "again.json.gz"
    write_record(replace(record, seconds=3.0), again)
    assert path.read_bytes() != again.read_bytes() and same_but_for_times(path, again)
    write_record(record, again)
    assert path.read_bytes() == again.read_bytes()
    write_record(replace(record, absolute_steps=3), again)
    assert not same_but_for_times(path, again)


def test_a_run_is_finished_when_its_record_is_there(tmp_path, run):
    assert not is_finished(run, tmp_path)
    write_record(made_up(run, skill=0.5), path_of(run, tmp_path))
    assert is_finished(run, tmp_path)
    elsewhere = replace(run, config=replace(run.config, run_dir="x", devices=2))
    assert is_finished(elsewhere, tmp_path), "where and on what it ran does not matter"


@pytest.mark.parametrize("setting", ["algorithm.clip", "evaluation.episodes"])
def test_a_record_with_other_settings_is_refused_with_the_difference(tmp_path, run, setting):
    write_record(made_up(run, skill=0.5), path_of(run, tmp_path))
    value = {"algorithm.clip": 0.15, "evaluation.episodes": 5}[setting]
    other = replace(run, config=with_settings(run.config, {setting: value}))
    with pytest.raises(RunError, match=rf"{setting} was .* in the record, and is {value} now"):
        is_finished(other, tmp_path)


def test_a_record_with_other_episodes_of_the_absolute_metric_is_refused(tmp_path, run):
    record = made_up(run, skill=0.5)
    write_record(record, path_of(run, tmp_path))
    other = replace(run, absolute_episodes=320)
    said = r"evaluation\.absolute_episodes was 8 in the record, and is 320 now"
    with pytest.raises(RunError, match=said):
        is_finished(other, tmp_path)
    converted = replace(record, versions=record.versions | {"converted": {"from": "a folder"}})
    write_record(converted, path_of(run, tmp_path))
    assert is_finished(other, tmp_path)


def test_a_record_with_any_byte_changed_is_told_or_is_the_same(tmp_path, run):
    path = path_of(run, tmp_path)
    record = made_up(run, skill=0.5)
    write_record(replace(record, curve={}), path)
    whole, told = path.read_bytes(), 0
    for place in range(len(whole)):
        for flip in (0xFF, 0x01):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :])
            try:
                assert read_record(path) == replace(record, curve={}), place
            except RunError as error:
                assert "cannot be read as a record" in str(error)
                told += 1
    assert told > 1.9 * (len(whole) - 10), "the header has bytes without a meaning"


@pytest.mark.parametrize("setting", ["nonsense", "clip"])
def test_a_record_of_unknown_or_wrong_settings_is_told_with_its_file(tmp_path, run, setting):
    path = path_of(run, tmp_path)
    write_record(made_up(run, skill=0.5), path)
    plain = json.loads(gzip.decompress(path.read_bytes()))
    plain["settings"]["algorithm"][setting] = "much"
    path.write_bytes(gzip.compress(json.dumps(plain).encode()))
    with pytest.raises(RunError, match=r"mappo-seed0\.json\.gz cannot be read as a record: Config"):
        read_record(path)


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"no gzip",
        lambda data: gzip.compress(b"[]"),
        lambda data: gzip.compress(b'{"format": 1}'),
        lambda data: gzip.compress(gzip.decompress(data)[:-20]),
    ],
)
def test_a_torn_record_is_told(tmp_path, run, harm):
    path = path_of(run, tmp_path)
    write_record(made_up(run, skill=0.5), path)
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(RunError, match=r"cannot be read as a record.*Delete it, or restore it"):
        is_finished(run, tmp_path)


def test_a_record_of_a_later_format_is_told(tmp_path, run):
    path = path_of(run, tmp_path)
    write_record(made_up(run, skill=0.5), path)
    plain = json.loads(gzip.decompress(path.read_bytes())) | {"format": 99}
    path.write_bytes(gzip.compress(json.dumps(plain).encode()))
    with pytest.raises(RunError, match=r"format 99.*Update opspo"):
        read_record(path)


def test_a_record_that_cannot_be_written_is_told(tmp_path, run):
    (tmp_path / run.study).write_text("in the way")
    with pytest.raises(RunError, match=r"cannot be written.*the run itself is saved"):
        write_record(made_up(run, skill=0.5), path_of(run, tmp_path))


def test_scores_are_in_the_order_of_the_study(tmp_path):
    file = study_at(tmp_path)
    write_all(file, tmp_path, skills={"mappo": 0.4, "opspo": 0.8})
    found = read_scores([str(file.path)], results=tmp_path)
    records, scores = found.records, found.scores
    assert len(records) == 8 and [task.task for task in scores] == ["probe/credit", "probe/memory"]
    assert list(scores[0].absolute) == ["mappo", "opspo"]
    assert scores[0].curves["opspo"].shape == (2, 2)
    assert scores[0].absolute["opspo"].mean() == pytest.approx(0.8, abs=0.02)
    assert scores[0].metric == "return"


def test_evaluations_at_other_steps_cannot_be_compared(tmp_path):
    file = study_at(tmp_path)
    records = write_all(file, tmp_path, skills={"mappo": 0.4, "opspo": 0.8})
    shorter = replace(records[-1], evaluations=records[-1].evaluations[:1])
    write_record(shorter, path_of(runs_of(file)[-1], tmp_path))
    with pytest.raises(ConfigError, match=r"opspo with seed 1 was evaluated at other steps"):
        read_scores([str(file.path)], results=tmp_path)


def test_the_layout_of_marl_eval(tmp_path):
    found = marl_eval(write_all(study_at(tmp_path), tmp_path, skills={"mappo": 0.4, "opspo": 0.8}))
    assert set(found) == {"probe"} and set(found["probe"]) == {"credit", "memory"}
    seed = found["probe"]["credit"]["opspo"]["seed_1"]
    assert set(seed) == {"step_0", "step_1", "absolute_metrics"}
    assert seed["step_1"]["step_count"] == 512 and len(seed["step_1"]["return"]) == 4
    assert (seed["step_0"]["elapsed_time"], seed["step_1"]["elapsed_time"]) == (30.0, 60.0)
    assert len(seed["absolute_metrics"]["return"]) == 8


def test_a_run_that_was_not_evaluated_is_kept_but_not_scored(tmp_path, run):
    record = not_evaluated(made_up(run, skill=0.5))
    write_record(record, path_of(run, tmp_path))
    read = read_record(path_of(run, tmp_path))
    assert read == record and is_finished(run, tmp_path)
    for use in (lambda: scores_of([read]), lambda: marl_eval([read])):
        with pytest.raises(ConfigError, match="mappo on probe/credit with seed 0 was never eval"):
            use()
