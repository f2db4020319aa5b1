"""The docs' tables and figures are those of the records, and one that is not is told."""

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from opspo.experiments.records import read_record, write_record

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    from tools.results import curves, figures, pages

    return {"curves": curves, "figures": figures, "pages": pages}


def test_every_table_and_figure_of_the_docs_is_that_of_its_records():
    program = [sys.executable, "-m", "tools.results", "--check"]
    shown = subprocess.run(program, capture_output=True, text=True, check=False, cwd=ROOT)
    assert shown.returncode == 0, f"Run `make results`: {shown.stdout}{shown.stderr}"


@pytest.fixture
def copy(tmp_path):
    """A copy of the pages, figures and records."""
    for folder in ("docs", "results"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def change(path):
    """Add 1,000 to the returns of a record's training curve."""
    record = read_record(path)
    returns = [None if r is None else r + 1000 for r in record.curve["episode_return"]]
    changed = dataclasses.replace(record, curve=record.curve | {"episode_return": returns})
    write_record(changed, path)


def test_a_changed_record_changes_its_table_and_its_figure_alone(tools, copy):
    pages, figures = tools["pages"], tools["figures"]
    path = copy / "results/robots/mamujoco-Hopper-3x1/opspo-seed1.json.gz"
    page, figure = copy / "docs/environments/mamujoco.md", copy / "docs/figures/robots.png"
    before, drawn = page.read_text(), figure.read_bytes()
    change(path)
    for write in (False, True):
        assert pages.renew(copy, write=write) == ["docs/environments/mamujoco.md: robots"]
        assert figures.renew(copy, write=write) == ["docs/figures/robots.png"]
        assert (page.read_text() != before) == write
        assert (figure.read_bytes() != drawn) == write
    assert "| 2,230; 2,476; 1,488 |" in page.read_text()
    assert (
        Image.open(figure).info["Shows"]
        != Image.open(ROOT / "docs/figures/robots.png").info["Shows"]
    )
    assert pages.renew(copy, write=False) == figures.renew(copy, write=False) == []


def test_a_figure_by_hand_is_told(tools, copy):
    figure = copy / "docs/figures/football.png"
    Image.new("RGB", (8, 8)).save(figure)
    assert tools["figures"].renew(copy, write=True) == ["docs/figures/football.png"]
    figure.unlink()
    assert tools["figures"].renew(copy, write=False) == ["docs/figures/football.png"]


def test_a_part_has_one_place_in_its_page(tools):
    with_part = tools["pages"].with_part
    page = "before\n<!-- results: numbers -->\n| 1 |\n<!-- end -->\nafter\n"
    assert with_part(page, "numbers", "| 2 |\n| 3 |") == page.replace("| 1 |", "| 2 |\n| 3 |")
    inline = "a <!-- results: few -->1<!-- end --> b"
    assert with_part(inline, "few", "2") == inline.replace("1", "2")
    for text, count in ((page, 0), (inline * 2, 2)):
        with pytest.raises(SystemExit, match=f"one place for 'few', but there are {count}"):
            with_part(text, "few", "")


def test_a_sampled_score_is_the_mean_over_the_episodes_of_a_window(tools, monkeypatch):
    curves = tools["curves"]
    monkeypatch.setattr(curves, "WINDOW", 2)

    wins, episodes = [1.0, None, 0.5, 0.0], [1, 0, 3, 1]
    run = SimpleNamespace(curve={"env_steps": [1, 2, 3, 4], "win_rate": wins, "episodes": episodes})
    assert curves.curve(run) == curves.Curve("win_rate", [2, 3, 4], [1.0, 0.5, 0.375])
    assert curves.sampled_at(run, 3) == 0.5
