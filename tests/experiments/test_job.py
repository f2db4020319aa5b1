"""One job: what it leaves when it is stopped or fails, and what it makes of what it finds."""

import json
import os
import signal
import time
from dataclasses import replace

import pytest
from small_study import TEXT, made_up, study_at, write_all

from opspo.checkpoint import Checkpoints
from opspo.evaluate import Evaluation
from opspo.experiments import job as job_module
from opspo.experiments import plan
from opspo.experiments.grid import folder_of, runs_of
from opspo.experiments.plan import STOPPED, Job, Places, film_jobs_of, films_left, jobs_of
from opspo.experiments.records import film_of, path_of, read_record
from opspo.experiments.shared_time import note_alone, note_sharing, seconds_of
from opspo.run_folder import read_lines
from opspo.training.recorder import Recorder
from opspo.training.signals import stop_flag

ONE_TASK = TEXT.replace('"probe/credit", "probe/memory"', '"probe/credit"')
ONE_TASK = ONE_TASK.replace('"mappo", "opspo"', '"mappo"')
FILMS = ONE_TASK.replace("steps = 512", "steps = 512\nfilms = true")
SKILLS = {"mappo": 0.5}


def places(folder):
    return Places(folder / "runs", folder / "results")


def carry_out(job):
    return job_module.main(job.command()[3:])


def test_the_paths_of_its_command_are_absolute(tmp_path, monkeypatch):
    """On a cluster, it starts in another folder."""
    study_at(tmp_path)
    monkeypatch.chdir(tmp_path)
    file = study_at(plan.Path())
    run = runs_of(file)[0]
    command = Job(file, (run,), Places(plan.Path("runs"), plan.Path("results"))).command()
    for path in (tmp_path / "small.toml", tmp_path / "runs", tmp_path / "results"):
        assert str(path) in command


def ended(monkeypatch, doing):
    """Pretend that runs are trained; their absolute metric does something else."""
    monkeypatch.setattr(job_module, "_train", lambda *_: None)
    monkeypatch.setattr(job_module, "evaluate_run", doing)


def test_a_stop_during_the_absolute_metric_is_a_stop(tmp_path, monkeypatch, capsys):
    def stopped(*_, **__):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(20)

    file = study_at(tmp_path, ONE_TASK)
    ended(monkeypatch, stopped)
    before = signal.getsignal(signal.SIGTERM)
    begin = time.monotonic()
    assert carry_out(jobs_of(file, runs_of(file), places(tmp_path))[0]) == STOPPED
    assert time.monotonic() - begin < 15 and "Stopped" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_stop_at_the_end_of_a_run_starts_no_other(tmp_path, monkeypatch):
    """Training hears it in its last iteration, and returns as always."""
    trained = []

    def train(run, _):
        with stop_flag():
            trained.append(run.seed)
            os.kill(os.getpid(), signal.SIGTERM)

    file = study_at(tmp_path, ONE_TASK)
    monkeypatch.setattr(job_module, "_train", train)
    monkeypatch.setattr(job_module, "_record", lambda *_: pytest.fail("it went on"))
    assert carry_out(Job(file, tuple(runs_of(file)), places(tmp_path))) == STOPPED
    assert trained == [0]


def finished_with_best(folder, text=FILMS):
    """A finished study whose best policies are there."""
    file, where = study_at(folder, text), places(folder)
    write_all(file, where.results, skills=SKILLS)
    for run in runs_of(file):
        (folder_of(run, where.runs) / "best").mkdir(parents=True)
    return file, runs_of(file), where


def films(run_dir, out, **_):
    out.write_bytes(b"film")


def test_a_finished_run_whose_film_is_missing_is_filmed(tmp_path, monkeypatch):
    file, runs, where = finished_with_best(tmp_path)
    assert [run.seed for run in films_left(file, runs, where)] == [0]
    assert film_jobs_of(file, runs, where) == []  # there is no picture of it
    monkeypatch.setattr(plan, "can_be_drawn", lambda task: task == "probe/credit")
    (job,) = film_jobs_of(file, runs, where)
    monkeypatch.setattr(job_module, "watch", films)
    assert carry_out(job) == 0
    assert film_of(runs[0], where.results).read_bytes() == b"film"
    assert films_left(file, runs, where) == film_jobs_of(file, runs, where) == []


def test_a_study_without_films_wants_none(tmp_path):
    file, runs, where = finished_with_best(tmp_path, ONE_TASK)
    assert films_left(file, runs, where) == []


def test_what_can_be_drawn():
    assert plan.can_be_drawn("smax/3m") and not plan.can_be_drawn("probe/credit")


@pytest.mark.parametrize("error", [RuntimeError("no display"), MemoryError(), OSError("full")])
def test_a_film_that_fails_costs_no_record(tmp_path, monkeypatch, capsys, error):
    def fails(run_dir, out, **_):
        out.write_bytes(b"half")
        raise error

    file, runs, where = finished_with_best(tmp_path)
    record = path_of(runs[0], where.results)
    record.unlink()
    ended(monkeypatch, lambda *_, **__: Evaluation((1.0,), (1,), None))
    monkeypatch.setattr(job_module, "_best_steps", lambda _: 512)
    monkeypatch.setattr(job_module, "make_record", lambda run, *_: made_up(run, skill=0.5))
    monkeypatch.setattr(job_module, "seconds_of", lambda _: 7.0)
    monkeypatch.setattr(job_module, "watch", fails)
    assert carry_out(Job(file, (runs[0],), where)) == 0
    assert read_record(record).seconds == 7.0
    assert "There is no film" in (said := capsys.readouterr().err) and str(error) in said
    assert [path.suffix for path in record.parent.iterdir()] == [".gz", ".gz"]


def rows_at(folder, *seconds):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"iteration": i, "wall_seconds": at} for i, at in enumerate(seconds, start=1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_seeds_of_one_program_share_its_time(tmp_path):
    one, other, alone = (tmp_path / name for name in ("seed0", "seed1", "seed2"))
    note_sharing([one, other], 2)
    for folder in (one, other, alone):
        rows_at(folder, 10.0, 20.0, 30.0)
    assert [seconds_of(folder) for folder in (one, other, alone)] == [15.0, 15.0, 30.0]
    note_alone(one, 2)  # stopped after two, and resumed by itself
    assert seconds_of(one) == 20.0 and seconds_of(other) == 15.0
    note_alone(one, 3)  # and again
    assert seconds_of(one) == 20.0
    note_alone(one, 0)  # started anew by itself
    assert seconds_of(one) == 30.0
    note_alone(alone, 2)
    assert seconds_of(alone) == 30.0


@pytest.mark.slow
def test_what_a_start_left_that_learned_nothing_is_no_obstacle(tmp_path):
    """A kill between config.json and versions.json; and the last evaluation plays the same episodes
    where the interval does not divide the steps."""
    text = ONE_TASK.replace("steps = 512", "steps = 640\nseeds_per_process = 2")
    file, where = study_at(tmp_path, text), places(tmp_path)
    (job,) = jobs_of(file, runs_of(file), where)
    (left := folder_of(job.runs[0], where.runs)).mkdir(parents=True)
    (left / "config.json").write_text("{}")
    assert carry_out(job) == 0 and jobs_of(file, job.runs, where) == []
    for run in job.runs:
        rows = read_lines(folder_of(run, where.runs) / "evaluations.jsonl")
        assert [row["iteration"] for row in rows] == [2, 4, 5]
        assert len({row["seed"] for row in rows}) == 1


class Log:
    def evaluation(self, row):
        pass


class Best:
    """What the folder of the best state has, without states."""

    def __init__(self, *kept):
        self.kept = list(kept)

    def iterations(self):
        return self.kept

    def save(self, iteration, state):
        self.kept = [iteration]


@pytest.mark.parametrize(
    ("kept", "returned", "expected"),
    [([1], 0.8, [1]), ([1], 0.95, [3]), ([], 0.8, [3]), ([2], 0.8, [3]), ([2], 0.5, [2])],
)
def test_the_best_state_is_the_best_of_those_that_can_be_kept(tmp_path, kept, returned, expected):
    """The states of 0.9 and of 0.6 were evaluated; resuming may have dropped that of 0.9."""
    file = study_at(tmp_path, ONE_TASK)
    run = runs_of(file)[0]
    folder = job_module.RunFolder(tmp_path / "run")
    folder.path.mkdir()
    rows = [{"iteration": 1, "mean_return": 0.9}, {"iteration": 2, "mean_return": 0.6}]
    folder.evaluations.write_text("".join(json.dumps(row) + "\n" for row in rows))
    recorder = Recorder(replace(run.config, run_dir=str(folder.path)), folder)
    recorder.log, recorder._best = Log(), Best(*kept)
    state = type("State", (), {"iteration": 3})
    recorder.evaluated(Evaluation((returned,), (1,), None), seed=0, state=state)
    assert recorder._best.kept == expected


@pytest.mark.slow
def test_resuming_drops_a_best_state_of_what_it_drops(tmp_path, monkeypatch):
    """A crash between an evaluation and its checkpoint leaves one."""
    from opspo.training import resuming
    from opspo.training.trainer import train

    file = study_at(tmp_path, ONE_TASK)
    config = runs_of(file)[0].config
    config = replace(config, run_dir=str(tmp_path / "run"))
    config = replace(config, checkpoint=replace(config.checkpoint, keep=9))
    train(config)
    folder = job_module.RunFolder(tmp_path / "run")
    best = Checkpoints(folder.best)
    for iteration in best.iterations():
        best._manager.delete(iteration)
    (folder.checkpoints / "4").rename(folder.best / "4")
    assert Checkpoints(folder.best).iterations() == [4]
    monkeypatch.setattr(
        resuming.Training, "go", lambda self, states: [resuming.Result(folder.path, 0, None)]
    )
    resuming.resume(folder.path)
    # the state that it continues from was evaluated: it is the best that there still is
    assert Checkpoints(folder.best).iterations() == [2]
