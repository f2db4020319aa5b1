"""Studies that really run: their records, what is skipped, resumed, reported and left alone."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from small_study import TEXT, study_at

from opspo.cli import main
from opspo.errors import RunError
from opspo.experiments import job as job_module
from opspo.experiments.grid import folder_of, runs_of
from opspo.experiments.plan import Job, Places, jobs_of
from opspo.experiments.records import film_of, path_of, read_record, same_but_for_times
from opspo.run_folder import read_lines
from opspo.training.trainer import train

pytestmark = pytest.mark.slow

ONE_TASK = TEXT.replace('"probe/credit", "probe/memory"', '"probe/credit"')
ONE_TASK = ONE_TASK.replace('"mappo", "opspo"', '"mappo"')
LONG = ONE_TASK.replace("steps = 512", "steps = 25_600").replace("times = 2", "times = 8")


def carry_out(job):
    """A job in this process."""
    return job_module.main(job.command()[3:])


def places(folder):
    return Places(folder / "runs", folder / "results")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study that ran without a stop."""
    folder = tmp_path_factory.mktemp("finished")
    file = study_at(folder, ONE_TASK)
    for job in jobs_of(file, runs_of(file), places(folder)):
        assert carry_out(job) == 0
    return file, places(folder)


def test_a_finished_run_has_its_record_and_no_checkpoints(finished):
    file, where = finished
    for run in runs_of(file):
        record = read_record(path_of(run, where.results))
        assert (record.task, record.line, record.seed) == (run.task, run.line, run.seed)
        assert [at for at, _ in record.evaluations] == [256, 512]
        assert [len(found.returns) for _, found in record.evaluations] == [4, 4]
        assert len(record.absolute.returns) == 8 and record.absolute_steps in (256, 512)
        assert record.curve["env_steps"] == [128, 256, 384, 512]
        folder = folder_of(run, where.runs)
        assert not (folder / "checkpoints").exists() and (folder / "best").is_dir()
    assert jobs_of(file, runs_of(file), where) == []


def test_what_has_its_record_is_left_alone(finished):
    file, where = finished
    run = runs_of(file)[0]
    before = path_of(run, where.results).stat().st_mtime_ns
    assert carry_out(Job(file, (run,), where)) == 0
    assert path_of(run, where.results).stat().st_mtime_ns == before


def test_seeds_in_one_process_give_the_records_of_separate_ones(finished, tmp_path):
    _, where = finished
    together = study_at(tmp_path, ONE_TASK.replace("steps =", "seeds_per_process = 2\nsteps ="))
    jobs = jobs_of(together, runs_of(together), places(tmp_path))
    assert [len(job.runs) for job in jobs] == [2]
    assert carry_out(jobs[0]) == 0
    for run in jobs[0].runs:
        one = read_record(path_of(run, where.results))
        other = read_record(path_of(run, places(tmp_path).results))
        assert one.evaluations == other.evaluations and one.absolute == other.absolute
        assert one.curve == other.curve
        wall = rows_of(run, places(tmp_path))[-1]["wall_seconds"]
        assert other.seconds == pytest.approx(wall / 2) and one.seconds > 0


def started(job):
    """The process of a job."""
    return subprocess.Popen(job.command(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def wait_for(condition, process, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < until
        time.sleep(0.01)


def rows_of(run, where):
    folder = folder_of(run, where.runs)
    return read_lines(folder / "metrics.jsonl")


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_that_was_killed_goes_on_to_the_same_record(tmp_path, number):
    (tmp_path / "whole").mkdir()
    whole = study_at(tmp_path / "whole", LONG)
    run = runs_of(whole)[0]
    assert carry_out(Job(whole, (run,), places(tmp_path / "whole"))) == 0
    file, where = study_at(tmp_path, LONG), places(tmp_path)
    job = Job(file, (run,), where)
    process = started(job)
    wait_for(lambda: len(rows_of(run, where)) > 40, process)
    process.send_signal(number)
    assert process.wait() == (job_module.STOPPED if number == signal.SIGTERM else -number)
    assert 40 < len(rows_of(run, where)) < 200
    assert not path_of(run, where.results).exists()
    assert 0 < job.done_steps < job.steps
    assert carry_out(job) == 0
    one, other = (path_of(run, places(folder).results) for folder in (tmp_path / "whole", tmp_path))
    assert same_but_for_times(one, other)


def test_a_run_that_was_stopped_goes_on_to_the_same_record(finished, tmp_path):
    """As after SIGTERM, but in this process: after two of four iterations."""
    file, where = finished
    run = runs_of(file)[0]
    there = places(tmp_path)
    folder = folder_of(run, there.runs)
    half = replace(run.config, run_dir=str(folder), total_steps=256)
    train(half)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace('"total_steps": 256', '"total_steps": 512'))
    assert Job(file, (run,), there).done_steps == 256
    assert carry_out(Job(study_at(tmp_path, ONE_TASK), (run,), there)) == 0
    assert same_but_for_times(path_of(run, there.results), path_of(run, where.results))


def test_a_run_that_ended_without_its_record_is_only_evaluated(finished, tmp_path):
    file, where = finished
    run = runs_of(file)[0]
    copy = study_at(tmp_path, ONE_TASK)
    there = places(tmp_path)
    job = Job(copy, (run,), there)

    def dies(*_):
        raise RunError("the disk is full")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_module, "write_record", dies)
        assert carry_out(job) == 1
    folder = folder_of(run, there.runs)
    before = (folder / "metrics.jsonl").stat().st_mtime_ns
    assert carry_out(job) == 0
    assert (folder / "metrics.jsonl").stat().st_mtime_ns == before
    assert same_but_for_times(path_of(run, there.results), path_of(run, where.results))


def filmed(task, folder):
    """A study of one task with films, after its jobs."""
    text = ONE_TASK.replace("steps = 512", "steps = 128\nfilms = true").replace(
        '"probe/credit"', f'"{task}"'
    )
    file = study_at(folder, text.replace("times = 2", "times = 1"))
    for job in jobs_of(file, runs_of(file), places(folder)):
        assert carry_out(job) == 0
    return [film_of(run, places(folder).results).is_file() for run in runs_of(file)]


def test_an_environment_without_pictures_has_no_film_and_its_record(tmp_path, capsys):
    assert filmed("probe/credit", tmp_path) == [False, False]
    assert "There is no film: " in capsys.readouterr().err
    assert len(list((tmp_path / "results").rglob("*.json.gz"))) == 2


@pytest.mark.full
def test_the_first_seed_of_a_line_is_filmed(tmp_path):
    assert filmed("smax/3m", tmp_path) == [True, False]


def test_other_settings_than_those_of_a_started_run_are_refused(tmp_path, capsys):
    file, where = study_at(tmp_path, ONE_TASK), places(tmp_path)
    run = runs_of(file)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(job_module, "_record", lambda *_: None)
        assert carry_out(Job(file, (run,), where)) == 0
    other = study_at(tmp_path, ONE_TASK + '\n[groups.settings]\n"algorithm.clip" = 0.15\n')
    assert carry_out(Job(other, (runs_of(other)[0],), where)) == 1
    assert "algorithm.clip was 0.2 there, and is 0.15 now" in capsys.readouterr().err


BROKEN = (
    ONE_TASK.replace("mappo", "happo")
    + """
[[variants]]
name = "breaks"
algorithms = ["happo"]

[variants.settings]
"optimiser.critic_learning_rate" = 1e30
"""
)


def test_the_command_runs_reports_failures_and_continues(tmp_path, capsys, monkeypatch):
    """One line diverges: the others are finished, and the error and its log are shown."""
    monkeypatch.chdir(tmp_path)
    file = study_at(tmp_path, BROKEN.replace('"0..1"', "[0]"))
    arguments = ["study", "run", file.path.name, "--only", "happo*", "--workers", "2"]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    shown = capsys.readouterr()
    assert "1 of 2 runs are finished" in shown.out
    assert "is not finite" in shown.out and "happo-breaks/seed0.log" in shown.out
    assert "1 job failed or stopped" in shown.err
    main(["study", "status", file.path.name])
    assert "0 of 1" in capsys.readouterr().out
    main(["report", file.path.name, "--json", "figures.json"])
    (left,) = json.loads(Path("figures.json").read_text())["unfinished"]
    assert left["name"] == "probe/credit happo, breaks: seed 0" and left["done"] < 1
    assert "is not finite" in left["log"]
    main(["study", "run", file.path.name, "--only", "*:happo"])
    assert "1 of 1 runs are finished" in capsys.readouterr().out


def test_a_dry_run_tries_out_what_has_no_record(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study_at(tmp_path, ONE_TASK)
    main(["study", "run", "small.toml", "--dry-run"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "Trying out 1 cell, 3 iterations each" in shown and "minutes a run" in shown
    assert "2 runs: 1 cell, 2 seeds; 2 jobs left" in shown and "with 1 job at a time" in shown


def jobs_running(folder):
    """Process ids of the jobs of a study's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "opspo.experiments.job" in command and str(folder / "runs") in command:
                found.append(int(entry.name))
    return found


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_a_study_that_was_killed_twice_ends_with_the_same_records(tmp_path):
    """Once in a training, once in an evaluation; then from the records alone."""
    (tmp_path / "whole").mkdir()
    whole = study_at(tmp_path / "whole", LONG)
    for job in jobs_of(whole, runs_of(whole), places(tmp_path / "whole")):
        assert carry_out(job) == 0
    here = tmp_path / "one"
    here.mkdir()
    file = study_at(here, LONG)
    command = [sys.executable, "-m", "opspo", "study", "run", str(file.path)]
    command += ["--runs", str(here / "runs"), "--results", str(here / "results")]
    runs = runs_of(file)

    def killed_when(condition):
        process = subprocess.Popen(command)
        wait_for(condition, process)
        for number in [process.pid, *jobs_running(here)]:
            os.kill(number, signal.SIGKILL)
        process.wait()

    killed_when(lambda: len(rows_of(runs[0], places(here))) > 50)
    killed_when(
        lambda: (
            (rows := rows_of(runs[1], places(here)))
            and rows[-1]["env_steps"] == runs[1].config.total_steps
        )
    )
    other = tmp_path / "two"
    other.mkdir()
    shutil.copytree(here / "results", other / "results")
    copied = study_at(other, LONG)
    left = jobs_of(copied, runs_of(copied), places(other))
    assert len(left) == 1
    for job in left:
        assert carry_out(job) == 0
    for run in runs:
        one, two = (path_of(run, places(folder).results) for folder in (tmp_path / "whole", other))
        assert same_but_for_times(one, two), run.name
