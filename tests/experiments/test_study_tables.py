"""The tables of a study: what is left, how long it takes, and what is refused."""

from io import StringIO

import pytest
from rich.console import Console
from small_study import TEXT, made_up, study_at, write_all

from opspo.cli import main
from opspo.experiments import study_tables
from opspo.experiments.grid import runs_of
from opspo.experiments.plan import Places, jobs_of
from opspo.experiments.records import path_of, write_record

SKILLS = {"mappo": 0.5, "opspo": 0.9, "opspo, w [max]": 0.9, "opspo, [/x]": 0.9}
BRACKETS = '[[variants]]\nname = "w [max]"\nalgorithms = ["opspo"]\n'
BRACKETS += '[[variants]]\nname = "[/x]"\nalgorithms = ["opspo"]\n'


def places(folder):
    return Places(folder / "runs", folder / "results")


def shown(show, *arguments, **options):
    out = StringIO()
    show(*arguments, Console(file=out, width=250), **options)
    return out.getvalue()


def grid(file, where, *, workers=1, trial=True):
    runs = runs_of(file)
    jobs = jobs_of(file, runs, where)
    return shown(study_tables.print_grid, runs, jobs, where, workers=workers, trial=trial)


def row(text, *names):
    """The cells of the line of a table that has these names."""
    (line,) = [
        each for each in text.splitlines() if each[:1] == "│" and all(x in each for x in names)
    ]
    return [cell.strip() for cell in line.split("│")[1:-1]]


def test_names_with_brackets_are_shown(tmp_path):
    file = study_at(tmp_path, TEXT + BRACKETS)
    for text in (
        grid(file, places(tmp_path), trial=False),
        shown(study_tables.print_status, runs_of(file), places(tmp_path)),
    ):
        assert "opspo, w [max]" in text and "opspo, [/x]" in text


def test_refused_records_are_not_finished(tmp_path):
    file, where = study_at(tmp_path), places(tmp_path)
    write_all(file, where.results, skills=SKILLS)
    runs = runs_of(file)
    path_of(runs[0], where.results).write_bytes(b"x")
    changed = runs_of(study_at(tmp_path, TEXT.replace("[8]", "[9]")))[3]
    write_record(made_up(changed, skill=0.5), path_of(changed, where.results))
    text = shown(study_tables.print_status, runs, where)
    assert row(text, "credit", "mappo")[2:] == ["1 of 2, 1 refused", "50%"]
    assert row(text, "credit", "opspo")[2:] == ["1 of 2, 1 refused", "50%"]
    assert row(text, "memory", "mappo")[2:] == ["2 of 2", "100%"]
    assert "cannot be read as a record" in text and "policy.hidden_sizes was" in text


@pytest.mark.parametrize(
    ("steps", "times", "expected"), [(29, 20, 29), (30, 20, 15), (40, 20, 20), (5, 2, 3), (7, 1, 1)]
)
def test_the_number_of_evaluations_is_the_real_one(tmp_path, steps, times, expected):
    text = TEXT.replace("steps = 512", f"steps = {128 * steps}")
    file = study_at(tmp_path, text.replace("times = 2", f"times = {times}"))
    assert row(grid(file, places(tmp_path), trial=False), "credit", "mappo")[3] == str(expected)


def test_finished_runs_say_how_long_the_others_take(tmp_path, monkeypatch):
    """A record has a minute; a cell without one is tried out, but not one that is finished."""
    file, where = study_at(tmp_path, TEXT.replace('"0..1"', '"0..9"')), places(tmp_path)
    write_all(file, where.results, skills=SKILLS)
    runs = runs_of(file)
    tried = []
    monkeypatch.setattr(study_tables, "_tried", lambda job: tried.append(job.name) or 600.0)
    text = grid(file, where)
    assert not tried and "0 jobs left" in text and "About" not in text and "Trying" not in text
    for run in runs[1:10]:
        path_of(run, where.results).unlink()
    text = grid(file, where)
    assert not tried and "About 9 minutes are left with 1 job at a time" in text
    assert "About 3 minutes are left with 3 jobs" in grid(file, where, workers=3)
    assert "About 1 minute is left with 9 jobs" in grid(file, where, workers=30)
    path_of(runs[0], where.results).unlink()
    assert "Trying out 1 cell, 3 iterations each; --no-trial" in (text := grid(file, where))
    assert tried == ["probe/credit mappo: seed 0"] and "About 1.7 hours are left" in text


def test_seeds_of_one_program_are_one_job_and_compile_once(tmp_path, monkeypatch):
    text = TEXT.replace("steps = 512", "steps = 512\nseeds_per_process = 2")
    file, where = study_at(tmp_path, text), places(tmp_path)
    timing = type("Timing", (), {"first_seconds": 107.0, "median": 1.0})
    monkeypatch.setattr("opspo.bench.training.time_iterations", lambda *_: (timing, 0))
    text = grid(file, where)
    # 2 runs of 4 iterations in 107 + 7 seconds
    assert "4 jobs left" in text and row(text, "credit", "mappo")[6] == f"{114 / 2 / 60:.1f}"
    assert "About 8 minutes are left" in text


def test_the_commands_show_them(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = study_at(tmp_path)
    write_all(file, tmp_path / "results", skills=SKILLS)
    main(["study", "status", "small.toml"])
    assert "2 of 2" in capsys.readouterr().out
    main(["study", "run", "small.toml", "--dry-run", "--no-trial"])
    assert "8 runs: 4 cells, 2 seeds; 0 jobs left" in capsys.readouterr().out
    main(["study", "run", "small.toml"])
    assert "8 of 8 runs are finished" in capsys.readouterr().out
