"""A study as one self-contained page: claim, tables, curves to hover over and switch.

Charts and their switches are Bokeh's; it is inlined, so the page opens from disk without a network.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opspo.experiments.figures import curve, styles
from opspo.experiments.plan import Unfinished
from opspo.experiments.reading import Found
from opspo.experiments.statistics import AGGREGATES
from opspo.experiments.summary import summarise
from opspo.experiments.task_scores import TaskScores, lines_in
from opspo.run_folder import replace_text

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:1100px;margin:0 auto;padding:0 16px;color:#1a1a1a}
h1{font-size:1.6em}h2{font-size:1.2em;margin-top:2em}.claim{font-size:1.15em}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
th:first-child,td:first-child{text-align:left}.warning{color:#b00020}
#making td{text-align:left;white-space:normal;vertical-align:top}
#making td+td{overflow-wrap:anywhere}
.interval{color:#666;font-size:.85em}pre{text-align:left}
.films{display:flex;flex-wrap:wrap;gap:16px}figure{margin:0}img{max-width:100%}
"""

SWITCH = """
.bk-btn,.bk-btn.bk-active{background:COLOUR;border-color:COLOUR;color:#fff;text-shadow:0 0 2px #000}
.bk-btn:not(.bk-active){opacity:.35}
"""
"""A switch has the colour of its line"""


def write_report(
    found: Found,
    out: Path,
    *,
    title: str,
    unfinished: Sequence[Unfinished] = (),
    films: Mapping[str, Path] | None = None,
    tuning: str = "",
) -> dict[str, Any]:
    """Write the page, and return the figures in it.

    Args:
        found: the records of the study, and their scores.
        out: the HTML file.
        title: the study's name.
        unfinished: jobs of the study whose runs have no record yet.
        films: name of a run → its film.
        tuning: the record of the tuning that the settings come from, if the study names one.

    Raises:
        RunError: it cannot be written.
    """
    summary = summarise(found) | {
        "unfinished": [asdict(each) for each in unfinished],
        "films": {name: str(path) for name, path in (films or {}).items()},
        "tuning": tuning,
    }
    replace_text(out, page(summary, found.scores, title=title))
    return summary


def page(summary: Mapping[str, Any], scores: Sequence[TaskScores], *, title: str) -> str:
    """The HTML of a study; films are read from the files that the summary names."""
    from bokeh.embed import components  # noqa: PLC0415
    from bokeh.resources import INLINE  # noqa: PLC0415

    script, chart = components(charts(scores))
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        f'<p class="claim">{html.escape(summary["claim"])}</p>',
        *(f'<p class="warning">{html.escape(said)}</p>' for said in summary["warnings"]),
        "<h2>All tasks</h2>",
        _aggregates(summary["aggregates"]),
        f"<p>{html.escape(summary['note'])}</p>",
        "<h2>Learning curves</h2>",
        "<p>IQM over seeds and its 95% interval. The buttons switch a line on and off.</p>",
        chart,
        "<h2>Who improves on whom</h2>",
        _pairs(summary["pairs"]),
        "<h2>Task by task</h2>",
        *map(_task, summary["tasks"]),
        *_films(summary["films"]),
        *_unfinished(summary["unfinished"]),
        "<h2>Settings that differ</h2>",
        _settings(summary["settings"]),
        "<h2>How it was made</h2>",
        _making(summary),
    ]
    data = json.dumps(summary).replace("<", "\\u003c")
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title><style>{STYLE}</style>",
            INLINE.render(),
            "</head><body>",
            *parts,
            f'<script type="application/json" id="figures">{data}</script>',
            script,
            "</body></html>",
        ]
    )


def charts(scores: Sequence[TaskScores]) -> Any:
    """A chart for each task, and a switch for each line in all of them."""
    from bokeh.layouts import column, row  # noqa: PLC0415
    from bokeh.models import InlineStyleSheet, Toggle  # noqa: PLC0415

    drawn: dict[str, list[Any]] = {line: [] for line in lines_in(scores)}
    style = styles(list(drawn))
    figures = [_chart(task, drawn, style) for task in scores]
    switches = []
    for line, glyphs in drawn.items():
        sheet = InlineStyleSheet(css=SWITCH.replace("COLOUR", style[line].color))
        switch = Toggle(label=line, active=True, name=line, stylesheets=[sheet])
        for glyph in glyphs:
            switch.js_link("active", glyph, "visible")
        switches.append(switch)
    return column(
        row(*switches, styles={"flex-wrap": "wrap"}), *figures, sizing_mode="stretch_width"
    )


def _chart(task: TaskScores, drawn: Mapping[str, list[Any]], style: Mapping[str, Any]) -> Any:
    from bokeh.models import ColumnDataSource  # noqa: PLC0415
    from bokeh.plotting import figure  # noqa: PLC0415

    chart = figure(
        title=task.task,
        height=300,
        sizing_mode="stretch_width",
        x_axis_label="environment steps",
        y_axis_label=task.metric,
        tools="pan,wheel_zoom,box_zoom,reset,hover,save",
        tooltips=[("line", "@line"), ("steps", "@steps{0,0}"), (task.metric, "@score{0.000}")],
    )
    for line in task.curves:
        found = curve(task, line)
        data = {
            "steps": task.steps,
            "score": found.estimate,
            "low": found.low,
            "high": found.high,
            "line": [line] * len(task.steps),
        }
        source = ColumnDataSource(data)
        colour = style[line].color
        drawn[line] += [
            chart.varea("steps", "low", "high", source=source, alpha=0.2, color=colour),
            chart.line("steps", "score", source=source, color=colour, line_width=2),
            chart.scatter("steps", "score", source=source, color=colour, size=4),
        ]
    return chart


def _number(x: float | None, digits: int = 3) -> str:
    return "–" if x is None else f"{x:.{digits}f}"


def _cell(found: Sequence[Any]) -> str:
    estimate, low, high = found
    if low is None:
        return _number(estimate)
    return f'{estimate:.3f} <span class="interval">[{low:.3f}, {high:.3f}]</span>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], name: str = "") -> str:
    """A table; cells are HTML."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table id="{name}"><tr>{top}</tr>{body}</table></div>'


def _aggregates(aggregates: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [
        [html.escape(line), *(_cell(found[name]) for name in AGGREGATES)]
        for line, found in aggregates.items()
    ]
    return _table(["normalised score", *AGGREGATES], rows, "aggregates")


def _pairs(pairs: Sequence[Sequence[Any]]) -> str:
    rows = [[html.escape(f"{ours} > {theirs}"), _cell(found)] for ours, theirs, *found in pairs]
    return _table(["a run of the first scores higher", "probability"], rows, "pairs")


def _task(task: Mapping[str, Any]) -> str:
    rows = [
        [
            html.escape(line),
            _cell(found["absolute"]),
            _number(found["mean"]),
            ", ".join(_number(x, 2) for x in found["seeds"]),
        ]
        for line, found in task["lines"].items()
    ]
    head = [f"{task['task']} ({task['metric']})", "IQM", "mean", "seeds"]
    return _table(head, rows)


def _films(films: Mapping[str, str]) -> list[str]:
    if not films:
        return []
    shown = [
        f"<figure><figcaption>{html.escape(name)}</figcaption>"
        f'<img alt="an episode" src="data:image/gif;base64,{_encoded(Path(path))}"></figure>'
        for name, path in films.items()
    ]
    return [
        "<h2>An episode of the best policies</h2>",
        f'<div class="films">{"".join(shown)}</div>',
    ]


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _unfinished(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    if not jobs:
        return []
    rows = [
        [
            html.escape(job["name"]),
            f"{job['done']:.0%}",
            f"<details><summary>log</summary><pre>{html.escape(job['log'])}</pre></details>"
            if job["log"]
            else "not started",
        ]
        for job in jobs
    ]
    head = ["runs without a record", "steps done", "what they said last"]
    return ["<h2>Not finished</h2>", _table(head, rows, "unfinished")]


def _settings(settings: Mapping[str, Mapping[str, str]]) -> str:
    if not settings:
        return "<p>None.</p>"
    lines = list(dict.fromkeys(line for values in settings.values() for line in values))
    rows = [
        [html.escape(name), *(html.escape(values.get(line, "–")) for line in lines)]
        for name, values in settings.items()
    ]
    return _table(["setting", *lines], rows, "settings")


def _making(summary: Mapping[str, Any]) -> str:
    rows = [
        ["runs", str(summary["runs"])],
        ["seeds of a line and task", ", ".join(map(str, summary["seeds"]))],
        ["settings come from", html.escape(summary["tuning"] or "the study's file; no tuning")],
        ["hours of training, all runs together", str(summary["hours"])],
        ["commit", ", ".join(summary["commits"])],
        *(["machine", html.escape(json.dumps(machine))] for machine in summary["machines"]),
        *(["packages", html.escape(json.dumps(packages))] for packages in summary["versions"]),
        *(
            [f"0 and 1 on {html.escape(task)}", f"{low:g} and {high:g}"]
            for task, (low, high) in summary["normalisation"].items()
        ),
        ["bootstrap", html.escape(json.dumps(summary["bootstrap"]))],
    ]
    return _table(["", ""], rows, "making")
