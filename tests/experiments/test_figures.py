"""Figures and the report: from made-up records to what a reader sees."""

import base64
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure
from small_study import WITH_A_PARTIAL_LINE, study_at, write_all

from opspo.cli import main
from opspo.errors import ConfigError
from opspo.experiments.figures import COLOURS, KINDS, OVER_TASKS, draw, styles
from opspo.experiments.grid import runs_of
from opspo.experiments.plan import Unfinished
from opspo.experiments.reading import read_scores
from opspo.experiments.records import path_of
from opspo.experiments.study_page import write_report


@pytest.fixture
def found(tmp_path):
    file = study_at(tmp_path)
    write_all(file, tmp_path, skills={"mappo": 0.4, "opspo": 0.8})
    return read_scores([str(file.path)], results=tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_and_few_seeds_are_told(tmp_path, found, kind):
    for ending in ("png", "svg", "pdf"):
        out = tmp_path / f"{kind}.{ending}"
        draw(kind, found.scores, out)
        assert out.stat().st_size > 2000
    text = (tmp_path / f"{kind}.svg").read_text()
    assert "2 seeds: too few" in text and "opspo" in text
    again = tmp_path / "again.svg"
    draw(kind, found.scores, again)
    assert again.read_text() == text, "the same figure is the same file"


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_for_some_tasks_alone_hinders_no_figure(tmp_path, kind, capsys):
    file = study_at(tmp_path, WITH_A_PARTIAL_LINE)
    write_all(file, tmp_path, skills={"mappo": 0.4, "opspo": 0.8, "mappo, low clip": 0.6})
    out = tmp_path / f"{kind}.svg"
    where = ["--results", str(tmp_path), "--out", str(out)]
    main(["plot", str(file.path), "--kind", kind, *where])
    said = "For some tasks alone, and so left out of the aggregates: mappo, low clip."
    each = kind in ("curves", "bars")
    assert ("low clip" in out.read_text()) == each, "in the legend, though not on the first task"
    assert (said in capsys.readouterr().err) != each


@pytest.mark.parametrize("kind", OVER_TASKS)
def test_a_figure_over_tasks_needs_a_task_with_every_line(tmp_path, kind):
    file = study_at(tmp_path)
    write_all(file, tmp_path, skills={"mappo": 0.4, "opspo": 0.8})
    for run in runs_of(file, ["probe/memory:opspo", "probe/credit:mappo"]):
        path_of(run, tmp_path).unlink()
    scores = read_scores([str(file.path)], results=tmp_path).scores
    with pytest.raises(ConfigError, match="No task has runs of every line yet, so tasks cannot"):
        draw(kind, scores, tmp_path / "x.png")


def test_one_line_improves_on_none(tmp_path, found):
    file = study_at(tmp_path)
    alone = read_scores([str(file.path)], only=["opspo"], results=tmp_path)
    with pytest.raises(ConfigError, match="one line alone"):
        draw("improvement", alone.scores, tmp_path / "x.png")


def test_a_curve_of_one_evaluation_is_a_marker(found):
    figure = Figure()
    KINDS["curves"](found.scores, figure)
    assert {line.get_marker() for line in figure.axes[0].lines} == {""}
    figure, first = Figure(), found.scores[0]
    curves = {line: rows[:, :1] for line, rows in first.curves.items()}
    KINDS["curves"]([replace(first, steps=first.steps[:1], curves=curves)], figure)
    assert "" not in {line.get_marker() for line in figure.axes[0].lines}


def test_a_figure_of_another_kind_or_ending_is_told(tmp_path, found):
    with pytest.raises(ConfigError, match="Did you mean 'curves'"):
        draw("curve", found.scores, tmp_path / "x.png")
    with pytest.raises(ConfigError, match=r"must end in one of \.png, \.svg, \.pdf"):
        draw("curves", found.scores, tmp_path / "x.gif")


def test_no_two_lines_look_alike():
    lines = [f"line {i}" for i in range(4 * len(COLOURS))]
    found = styles(lines)
    assert len({(s.color, s.linestyle) for s in found.values()}) == len(lines)


class Tables(HTMLParser):
    """The cells of a page's tables, by the table's id."""

    def __init__(self):
        super().__init__()
        self.tables, self.name, self.inside = {}, None, False

    def handle_starttag(self, tag, attributes):
        if tag == "table":
            self.name = dict(attributes).get("id", "")
            self.tables.setdefault(self.name, [])
        if tag == "tr" and self.name is not None:
            self.tables[self.name].append([])
        if tag in ("td", "th") and self.name is not None:
            self.tables[self.name][-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False
        if tag == "table":
            self.name = None

    def handle_data(self, data):
        if self.inside:
            self.tables[self.name][-1][-1] += data


def test_the_page_has_the_figures_of_the_json(tmp_path, found):
    out = tmp_path / "report.html"
    film = tmp_path / "film.gif"
    film.write_bytes(b"GIF89a, made up")
    summary = write_report(
        found,
        out,
        title="small",
        unfinished=[
            Unfinished("probe/memory opspo: seed 7", 0.25, "a < b is wrong"),
            Unfinished("probe/memory opspo: seed 8", 0.0, ""),
        ],
        films={"probe-credit/opspo-seed0": film},
        tuning="results/t/tuning.json",
    )
    text = out.read_text()
    shown = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""<(script|link|img)[^>]*(src|href)=["'](?!data:)""", shown), (
        "it needs no network"
    )
    assert not re.search(r"<script[^>]*src=", text[: text.index("<body>")])
    inside = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text)[1]
    assert json.loads(inside) == json.loads(json.dumps(summary))
    parser = Tables()
    parser.feed(shown)
    rows = {row[0]: row[1:] for row in parser.tables["aggregates"]}
    for line, statistics in summary["aggregates"].items():
        for cell, (estimate, low, high) in zip(rows[line], statistics.values(), strict=True):
            assert cell == f"{estimate:.3f} [{low:.3f}, {high:.3f}]"
    assert ["hours of training, all runs together", str(round(8 / 60, 2))] in parser.tables[
        "making"
    ]
    assert ["runs", "8"] in parser.tables["making"]
    assert parser.tables["unfinished"][1:] == [
        ["probe/memory opspo: seed 7", "25%", "loga < b is wrong"],
        ["probe/memory opspo: seed 8", "0%", "not started"],
    ]
    data = base64.b64encode(film.read_bytes()).decode()
    assert f'<img alt="an episode" src="data:image/gif;base64,{data}">' in shown
    assert ["settings come from", "results/t/tuning.json"] in parser.tables["making"]


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


SWITCHING = """
<script>
const buttons = (root) => [...root.querySelectorAll("*")].flatMap((each) => [
  ...(each.tagName === "BUTTON" ? [each] : []),
  ...(each.shadowRoot ? buttons(each.shadowRoot) : []),
]);
setTimeout(() => {
  const charts = Bokeh.documents[0].all_models ? [...Bokeh.documents[0].all_models] : [];
  const lines = charts.filter((m) => m.type === "GlyphRenderer");
  const seen = () => lines.filter((m) => m.visible).length;
  const before = seen();
  buttons(document).find((b) => b.textContent.trim() === "opspo").click();
  setTimeout(() => {
    document.body.setAttribute("data-switched", `${before} then ${seen()}`);
  }, 500);
}, 1500);
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_opens_in_a_browser_and_switches_a_line_off(tmp_path, found):
    out = tmp_path / "report.html"
    write_report(found, out, title="small")
    page, _, end = out.read_text().rpartition("</body>")  # Bokeh's own text has some too
    out.write_text(page + SWITCHING + end)
    shown = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *("--virtual-time-budget=8000", f"--user-data-dir={tmp_path / 'profile'}"),
            *("--dump-dom", out.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = [line for line in shown.stderr.splitlines() if "CONSOLE" in line]
    assert said and not [line for line in said if "[bokeh" not in line], "no error there"
    # two tasks, two lines, three glyphs for each
    assert re.search(r'data-switched="([^"]*)"', shown.stdout)[1] == "12 then 6"
