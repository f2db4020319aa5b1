"""What a figure or a report is made from: a study's own records, and runs that can be compared."""

import json
from dataclasses import replace

import pytest
from small_study import (
    TEXT,
    WITH_A_PARTIAL_LINE,
    made_up,
    not_evaluated,
    study_at,
    write_all,
)

from opspo.cli import main
from opspo.config import to_json
from opspo.config.files import with_settings
from opspo.errors import ConfigError, RunError
from opspo.experiments.grid import runs_of
from opspo.experiments.reading import read_scores
from opspo.experiments.records import path_of, write_record
from opspo.run_folder import RunFolder

SKILLS = {"mappo": 0.4, "opspo": 0.8}


@pytest.fixture
def study(tmp_path):
    """A study, all of whose runs are finished."""
    file = study_at(tmp_path)
    write_all(file, tmp_path, skills=SKILLS)
    return file


@pytest.mark.parametrize(
    ("before", "after", "left"),
    [
        ('seeds = "0..1"', "seeds = [0]", 4),
        ('"probe/credit", "probe/memory"', '"probe/credit"', 4),
        ('["mappo", "opspo"]', '["opspo"]', 4),
    ],
)
def test_records_of_no_run_of_the_study_are_left_out_and_told(tmp_path, study, before, after, left):
    study = study_at(tmp_path, TEXT.replace(before, after))
    found = read_scores([str(study.path)], results=tmp_path)
    assert len(found.records) == left == len(runs_of(study))
    assert found.warnings == [
        f"Left out: {8 - left} records in {tmp_path / 'small'} of no run of {study.path}."
    ]


def test_records_on_tasks_that_a_variant_no_longer_names_are_left_out(tmp_path):
    both = WITH_A_PARTIAL_LINE.replace('tasks = ["probe/memory"]', 'tasks = ["probe/*"]')
    write_all(study_at(tmp_path, both), tmp_path, skills=SKILLS | {"mappo, low clip": 0.9})
    study = study_at(tmp_path, WITH_A_PARTIAL_LINE)
    found = read_scores([str(study.path)], results=tmp_path)
    assert list(found.scores[0].absolute) == ["mappo", "opspo"]
    assert len(found.records) == 10


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('"algorithm.clip" = 0.15', r"algorithm\.clip was 0\.2 in the record, and is 0\.15 now"),
        ('"optimiser.anneal" = true', "optimiser.anneal was false in the record, and is true now"),
    ],
)
def test_records_of_other_settings_are_refused(tmp_path, study, setting, said):
    study = study_at(tmp_path, TEXT.replace("[settings]", f"[settings]\n{setting}"))
    for _ in range(2):
        with pytest.raises(RunError, match=said):
            read_scores([str(study.path)], results=tmp_path)


def test_a_renamed_line_of_the_same_file_name_has_its_new_name(tmp_path):
    write_all(
        study_at(tmp_path, WITH_A_PARTIAL_LINE),
        tmp_path,
        skills=SKILLS | {"mappo, low clip": 0.9},
    )
    study = study_at(tmp_path, WITH_A_PARTIAL_LINE.replace("low clip", "low-clip"))
    found = read_scores([str(study.path)], results=tmp_path)
    assert list(found.scores[1].absolute) == ["mappo", "opspo", "mappo, low-clip"]


def test_nothing_to_read_is_told(tmp_path):
    file = study_at(tmp_path)
    for command in (["plot", "--out", str(tmp_path / "x.png")], ["report"]):
        with pytest.raises(SystemExit):
            main([*command, str(file.path), "--results", str(tmp_path)])
    with pytest.raises(ConfigError, match=r"No run of .*small\.toml has a record in .*small\. Run"):
        read_scores([str(file.path)], results=tmp_path)
    (tmp_path / "small").mkdir()
    with pytest.raises(ConfigError, match=r"There is no record"):
        read_scores([str(tmp_path / "small")])
    with pytest.raises(ConfigError, match=r"is no folder of records"):
        read_scores([str(tmp_path / "nowhere")])
    write_all(file, tmp_path, skills=SKILLS)
    with pytest.raises(ConfigError, match=r"Nothing fits --only x. There are: probe/credit:mappo"):
        read_scores([str(tmp_path / "small")], only=["x"])
    with pytest.raises(ConfigError, match=r"Nothing of .* fits --only x"):
        read_scores([str(file.path)], only=["x"], results=tmp_path)
    other = study_at(tmp_path, TEXT.replace('["mappo", "opspo"]', '["happo"]'))
    with pytest.raises(ConfigError, match=r"No run of .*There are 8 records, of none of its runs"):
        read_scores([str(other.path)], results=tmp_path)


def test_what_is_not_finished_is_told(tmp_path, study):
    for run in runs_of(study, ["probe/memory", "opspo"]):
        path_of(run, tmp_path).unlink()
    found = read_scores([str(study.path)], results=tmp_path)
    assert found.warnings == ["No run is finished yet of: opspo; probe/memory."]


def test_runs_without_an_evaluation_are_left_out_and_told(tmp_path, study, capsys):
    for run in runs_of(study, ["probe/memory:opspo"]):
        write_record(not_evaluated(made_up(run, skill=0.8)), path_of(run, tmp_path))
    said = (
        "Left out: 2 runs without an evaluation: opspo on probe/memory with seed 0; opspo on "
        "probe/memory with seed 1."
    )
    for paths in ([str(study.path)], [str(tmp_path / "small")]):
        found = read_scores(paths, results=tmp_path)
        assert found.warnings == [said] and len(found.records) == 6
    outputs = {"plot": tmp_path / "x.svg", "report": tmp_path / "x.html"}
    for name, out in outputs.items():
        main([name, str(study.path), "--results", str(tmp_path), "--out", str(out)])
        assert said in capsys.readouterr().err
    assert said in outputs["report"].read_text()


def test_training_curves_alone_are_told(tmp_path, study):
    for run in runs_of(study):
        write_record(not_evaluated(made_up(run, skill=0.8)), path_of(run, tmp_path))
    for paths in ([str(study.path)], [str(tmp_path / "small")]):
        with pytest.raises(ConfigError, match=r"training curves alone.*`make results` shows"):
            read_scores(paths, results=tmp_path)


def test_a_run_that_is_there_twice_is_refused(tmp_path, study):
    folder = str(tmp_path / "small")
    within = str(tmp_path / "small" / "probe-memory")
    with pytest.raises(ConfigError, match=r"mappo on probe/credit with seed 0 is there twice"):
        read_scores([folder, folder])
    with pytest.raises(ConfigError, match=r"mappo on probe/memory .* twice, in .*small and in .*m"):
        read_scores([folder, within])


def run_folder(folder, config, level):
    """A folder of a run with one evaluation."""
    files = RunFolder(folder)
    folder.mkdir()
    files.config.write_text(to_json(replace(config, run_dir=str(folder))))
    row = {"env_steps": 512, "returns": [level] * 4, "lengths": [3] * 4}
    files.evaluations.write_text(json.dumps(row) + "\n")
    files.metrics.write_text(json.dumps({"env_steps": 512, "wall_seconds": 1.0}) + "\n")
    return str(folder)


def test_run_folders_with_other_settings_are_lines_of_their_own(tmp_path, study):
    config = runs_of(study)[0].config
    high = with_settings(config, {"algorithm.clip": 0.3})
    other_place = replace(config, seed=1, tensorboard=True, devices=2)
    paths = [
        run_folder(tmp_path / name, each, level)
        for name, each, level in (
            ("a", config, 0.1),
            ("b", other_place, 0.2),
            ("c", high, 0.5),
            ("d", replace(high, seed=1), 0.6),
        )
    ]
    (task,) = read_scores(paths).scores
    found = {line: scores.tolist() for line, scores in task.absolute.items()}
    assert found == {
        "mappo, algorithm.clip=0.2": [0.1, 0.2],
        "mappo, algorithm.clip=0.3": [0.5, 0.6],
    }
    (task,) = read_scores(paths[:2]).scores
    assert list(task.absolute) == ["mappo"]


def test_lines_that_differ_in_much_are_told_apart_by_number(tmp_path, study):
    config = runs_of(study)[0].config
    changed = {
        "algorithm.clip": 0.3,
        "algorithm.entropy_coefficient": 0.5,
        "optimiser.anneal": True,
        "policy.hidden_sizes": (4,),
    }
    first = {name: value for name, value in changed.items() if name != "policy.hidden_sizes"}
    paths = [
        run_folder(tmp_path / name, with_settings(config, settings), 0.5)
        for name, settings in (("a", {}), ("b", first), ("c", changed))
    ]
    (task,) = read_scores(paths).scores
    assert len(task.absolute) == 3
    assert [line[-5:] for line in task.absolute] == ["… (1)", "… (2)", "… (3)"]
