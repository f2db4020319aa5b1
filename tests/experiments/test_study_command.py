"""`opspo study run` and `opspo report`: what they say and with which status they end."""

import json
import sys
from pathlib import Path

import pytest
from small_study import TEXT, study_at, write_all

from opspo.cli import main
from opspo.errors import RunError
from opspo.experiments.grid import runs_of
from opspo.experiments.plan import STOPPED, Job
from opspo.experiments.records import path_of
from opspo.run_folder import cut_lines

ONE_TASK = TEXT.replace('"probe/credit", "probe/memory"', '"probe/credit"')
ONE_TASK = ONE_TASK.replace('"mappo", "opspo"', '"mappo"')
SKILLS = {"mappo": 0.5, "opspo": 0.9}


def runs_scripts(monkeypatch, script):
    """Let every job be a line of Python instead."""
    monkeypatch.setattr(Job, "command", lambda self, share=(): [sys.executable, "-c", script])


def fails(*arguments):
    with pytest.raises(SystemExit) as stop:
        main(["study", *arguments])
    return stop.value.code


def test_stopped_jobs_are_not_finished(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study_at(tmp_path, ONE_TASK)
    runs_scripts(monkeypatch, f"print('saved it'); raise SystemExit({STOPPED})")
    assert fails("run", "small.toml") == 2
    shown = capsys.readouterr()
    assert "0 of 2 runs are finished" in shown.out and "saved it" in shown.out
    assert "2 jobs failed or stopped" in shown.err


def test_a_job_that_fails_on_its_last_seed_has_finished_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = study_at(tmp_path, ONE_TASK.replace("steps = 512", "steps = 512\nseeds_per_process = 2"))
    write_all(file, tmp_path / "made", skills=SKILLS)
    record = path_of(runs_of(file)[0], Path("results"))
    made = path_of(runs_of(file)[0], tmp_path / "made")
    script = f"import os; os.makedirs({str(record.parent)!r}); "
    runs_scripts(monkeypatch, script + f"os.rename({str(made)!r}, {str(record)!r}); 1 / 0")
    assert fails("run", "small.toml") == 2
    shown = capsys.readouterr()
    assert "1 of 2 runs are finished" in shown.out and "1 job failed" in shown.err


def test_jobs_that_leave_no_record_are_not_finished(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study_at(tmp_path, ONE_TASK)
    runs_scripts(monkeypatch, "")
    assert fails("run", "small.toml") == 2
    shown = capsys.readouterr()
    assert "0 of 2 runs are finished" in shown.out
    assert "there is no record of 2 runs in results" in shown.err


def test_an_unusable_folder_of_runs_is_told_without_a_traceback(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study_at(tmp_path, ONE_TASK)
    (tmp_path / "taken").write_text("")
    assert fails("run", "small.toml", "--runs", "taken/runs") == 2
    assert "Choose another folder with --runs" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_no_run_to_resume(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = study_at(tmp_path)
    write_all(file, tmp_path / "results", skills=SKILLS)
    for flag in ("--out", "--json", "--marl-eval"):
        with pytest.raises(SystemExit) as stop:
            main(["report", "small.toml", flag, "/nowhere/nope/r.html"])
        assert stop.value.code == 2
        said = capsys.readouterr().err
        assert "/nowhere/nope/r.html cannot be written" in said
        assert "a folder that exists" in said and "resume" not in said


def test_a_file_of_a_run_that_cannot_be_written_says_how_to_go_on(tmp_path):
    lines = tmp_path / "run" / "metrics.jsonl"
    lines.parent.mkdir()
    lines.write_text(json.dumps({"iteration": 1}) + "\n")
    lines.with_suffix(".part").mkdir()
    with pytest.raises(RunError, match=r"opspo resume --run-dir .*/run`"):
        cut_lines(lines, last_iteration=1)


def test_the_help_says_the_exit_status_and_where_only_goes(capsys):
    assert fails("run", "--help") == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "exit status is 0 if every run is finished, 2 if" in said
    assert "give it after the file" in said
