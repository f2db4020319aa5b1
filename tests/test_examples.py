"""The examples run as they stand, in an empty folder, and learn what they say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from matplotlib import image
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
TESTED = {
    "train.py",
    "evaluate_and_plot.py",
    "own_algorithm.py",
    "own_environment.py",
    "quickstart.ipynb",
}


def run(name, folder):
    """What an example prints."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    outcome = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def number_after(text, printed):
    return float(re.search(rf"{re.escape(text)}\s*(-?[\d.]+)", printed)[1])


def test_every_example_is_tested_and_short():
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file()}
    assert files == TESTED
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 60, path.name


@pytest.mark.slow
def test_a_run_is_trained_evaluated_and_plotted(tmp_path):
    printed = run("train.py", tmp_path)
    assert number_after("first iteration:", printed) < 0.5
    assert number_after("last iteration:", printed) > 0.95
    assert number_after("greedy, 64 episodes:", printed) == 1.0

    printed = run("evaluate_and_plot.py", tmp_path)
    assert "steps ━" not in printed  # the run was there: nothing is trained anew
    assert number_after("best checkpoint:", printed) == 1.0
    picture = image.imread(tmp_path / "curve.png")
    assert picture.shape[:2] == (525, 900)
    colours = {tuple(pixel) for row in picture[:, :, :3] for pixel in (row * 255).round()}
    assert {(31, 119, 180), (255, 127, 14)} <= colours  # a line and points


@pytest.mark.slow
def test_an_environment_of_ones_own_is_checked_and_learned(tmp_path):
    printed = run("own_environment.py", tmp_path)
    assert "light: no problems, no notes" in printed
    assert number_after("mean return:", printed) == 5.0
    stored = json.loads((tmp_path / "runs" / "light" / "environment.json").read_text())
    assert "light" in json.dumps(stored)


@pytest.mark.slow
def test_an_algorithm_of_ones_own_learns(tmp_path):
    printed = run("own_algorithm.py", tmp_path)
    assert number_after("mean return:", printed) == 1.0
    written = json.loads((tmp_path / "runs" / "own" / "config.json").read_text())
    assert written["algorithm"]["advantage"] == "__main__:n_step"
    assert (written["algo"], written["algorithm"]["push"]) == ("own", 0.5)


def said(notebook):
    """What each cell of a notebook printed, by its first words."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    printed = ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]
    return [text for text in printed if text]


def assert_learned(printed):
    training, evaluation, metrics, actions = printed
    assert training.startswith("6400 steps")
    assert number_after("mean return", training) == 1.0
    assert number_after("greedy", evaluation) == 1.0
    assert number_after("sampled", evaluation) > 0.95
    returns = [float(text) for text in re.findall(r"return (-?[\d.]+)", metrics)]
    assert len(returns) == 5 and returns[0] < 0.5 and returns[-1] > 0.95
    moved = re.findall(r"\|log r\| ([\d.]+), ([\d.]+)", metrics)
    assert all(float(first) == 0 for first, _ in moved) and float(moved[0][1]) > 0
    assert sorted(re.findall(r"\d", actions)) == ["0", "1"]  # one goes


@pytest.mark.slow
def test_the_notebook_prints_what_it_shows(tmp_path, monkeypatch):
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    assert_learned(said(notebook))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    assert_learned(said(notebook))
    assert (tmp_path / "runs" / "quickstart" / "config.json").exists()
