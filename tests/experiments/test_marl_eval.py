"""marl-eval itself, in an environment of its own, reads our JSON and finds our figures in it."""

import json
import re
import subprocess
import sys

import pytest
from small_study import study_at, write_all

from opspo.cli import main

WITHOUT_DEPENDENCIES = ["id-marl-eval==0.0.4", "rliable==1.2.0"]
"""marl-eval pins packages that no longer build, and is an old source distribution itself"""
DEPENDENCIES = [
    *("numpy<2", "arch<8", "pandas<2.2", "matplotlib<3.9", "scipy", "seaborn", "absl-py"),
    *("colorcet", "colorama", "tqdm", "jinja2", "neptune"),
]
READING = """
import json, sys
from marl_eval.plotting_tools.plotting import aggregate_scores
from marl_eval.utils.data_processing_utils import (
    create_matrices_for_rliable, data_process_pipeline
)

(raw,) = map(json.load, map(open, sys.argv[1:]))
data = data_process_pipeline(raw_data=raw, metrics_to_normalize=[])
matrices, curves = create_matrices_for_rliable(
    data_dictionary=data, environment_name="probe", metrics_to_normalize=[]
)
_, found, _ = aggregate_scores(matrices, metric_name="return", metrics_to_normalize=[])
shapes = {line: each.shape for line, each in curves["mean_return"].items()}
scores = {line: each.tolist() for line, each in matrices["mean_return"].items()}
print(json.dumps({"table": found, "shapes": shapes, "scores": scores}))
"""


@pytest.fixture
def python(tmp_path):
    """The Python of an environment with marl-eval."""
    folder = tmp_path / "environment"
    program = folder / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(program), "-m", "pip", "install", "--quiet"]
    for arguments in (
        ["setuptools<81", "wheel"],
        ["--no-deps", "--no-build-isolation", *WITHOUT_DEPENDENCIES],
        DEPENDENCIES,
    ):
        done = subprocess.run([*install, *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"marl-eval cannot be installed: {done.stderr[-300:]}")
    return program


@pytest.mark.full
def test_marl_eval_finds_our_figures(tmp_path, python, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = study_at(tmp_path)
    write_all(file, tmp_path / "results", skills={"mappo": 0.4, "opspo": 0.8})
    outputs = ["--json", "figures.json", "--marl-eval", "marl.json"]
    main(["report", str(file.path), *outputs])
    done = subprocess.run(
        [str(python), "-c", READING, "marl.json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    # lines → [seeds, tasks, evaluations]
    assert read["shapes"] == {"mappo": [2, 2, 2], "opspo": [2, 2, 2]}
    figures = json.loads((tmp_path / "figures.json").read_text())
    for line, statistics in figures["aggregates"].items():
        shown = re.findall(r"[\d.]+", read["table"][line.upper()]["IQM"])
        assert [float(x) for x in shown] == pytest.approx(statistics["IQM"], abs=0.01)
    for number, task in enumerate(figures["tasks"]):
        for line, found in task["lines"].items():
            theirs = [row[number] for row in read["scores"][line]]
            assert theirs == pytest.approx(found["seeds"], abs=6e-4)
