"""The figures of a study: learning curves, aggregates, profiles, who improves on whom, ablations.

Colours are Okabe and Ito's, which colour-blind eyes tell apart; dashes and markers do the same in
print. Shades and whiskers are 95% bootstrap intervals (`statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from opspo.errors import ConfigError, RunError, unknown_name
from opspo.experiments.aggregation import across, aggregate, improvements, known_interval
from opspo.experiments.statistics import (
    AGGREGATES,
    FEW,
    Interval,
    interquartile_mean,
    profile,
)
from opspo.experiments.task_scores import TaskScores, lines_in, samples

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
DASHES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX*"
ENDINGS = (".png", ".svg", ".pdf")
THRESHOLDS = np.linspace(0, 1, 101)
COLUMNS = 4


@dataclass(frozen=True)
class Style:
    """How a line is drawn, the same in all figures."""

    color: str
    linestyle: str
    marker: str


def styles(lines: Sequence[str]) -> dict[str, Style]:
    """A style for each line."""
    return {
        line: Style(
            COLOURS[i % len(COLOURS)],
            DASHES[i // len(COLOURS) % len(DASHES)],
            MARKERS[i % len(MARKERS)],
        )
        for i, line in enumerate(lines)
    }


def curve(task: TaskScores, line: str) -> Interval:
    """IQM over seeds of a line's evaluations, and its interval, each [K], in the metric's unit."""
    return known_interval(interquartile_mean, [task.curves[line]])


def draw_curves(scores: Sequence[TaskScores], figure: Any) -> None:
    """A grid over tasks: IQM and interval of each line's evaluations."""
    from matplotlib.ticker import EngFormatter  # noqa: PLC0415

    axes = _grid(scores, figure)
    drawn = styles(lines_in(scores))
    handles: dict[str, Any] = {}
    for axis, task in zip(axes, scores, strict=False):
        for line in task.curves:
            found, style = curve(task, line), drawn[line]
            axis.fill_between(task.steps, found.low, found.high, color=style.color, alpha=0.2, lw=0)
            (handles[line],) = axis.plot(
                task.steps,
                found.estimate,
                color=style.color,
                ls=style.linestyle,
                marker=style.marker if len(task.steps) == 1 else "",  # a line of one point is none
            )
        axis.set(title=task.task, xlabel="environment steps", ylabel=task.metric)
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.grid(alpha=0.3)
    figure.legend(
        [handles[line] for line in drawn],
        list(drawn),
        loc="outside lower center",
        ncols=min(6, len(drawn)),
    )


def draw_aggregates(scores: Sequence[TaskScores], figure: Any) -> None:
    """IQM, median, mean and optimality gap of the normalised absolute metric, line by line."""
    found = across(scores).required()
    lines, drawn = found.lines, styles(lines_in(scores))
    axes = figure.subplots(1, len(AGGREGATES), sharey=True)
    for axis, (name, statistic) in zip(axes, AGGREGATES.items(), strict=True):
        for i, line in enumerate(lines):
            _whisker(axis, aggregate(statistic, found, line), len(lines) - 1 - i, drawn[line])
        axis.set(title=name, xlabel="normalised score")
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(range(len(lines)), lines[::-1])


def draw_profiles(scores: Sequence[TaskScores], figure: Any) -> None:
    """The share of runs above each score, mean over tasks."""
    whole, drawn = across(scores).required(), styles(lines_in(scores))
    axis = figure.subplots()
    for line in whole.lines:
        found, style = profile(samples(whole.tasks, line), THRESHOLDS), drawn[line]
        axis.fill_between(THRESHOLDS, found.low, found.high, color=style.color, alpha=0.2, lw=0)
        axis.plot(THRESHOLDS, found.estimate, color=style.color, ls=style.linestyle, label=line)
    axis.set(xlabel="normalised score τ", ylabel="share of runs above τ", ylim=(0, 1.02))
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right upper")


def draw_improvement(scores: Sequence[TaskScores], figure: Any) -> None:
    """The probability of improvement for every pair of lines."""
    pairs = improvements(across(scores).required())
    if not pairs:
        raise ConfigError("There is one line alone, and no other to compare it with.")
    axis = figure.subplots()
    drawn = styles(lines_in(scores))
    for i, (ours, theirs, found) in enumerate(pairs):
        del theirs
        _whisker(axis, found, len(pairs) - 1 - i, drawn[ours])
    labels = [f"{ours} > {theirs}" for ours, theirs, _ in pairs]
    axis.set_yticks(range(len(pairs)), labels[::-1])
    axis.axvline(0.5, color="grey", lw=1)
    axis.set(xlabel="probability of improvement", xlim=(0, 1))
    axis.grid(axis="x", alpha=0.3)


def draw_bars(scores: Sequence[TaskScores], figure: Any) -> None:
    """The absolute metric of each line as bars, task by task: the ablation's figure."""
    axes = _grid(scores, figure)
    drawn = styles(lines_in(scores))
    for axis, task in zip(axes, scores, strict=False):
        for i, (line, score) in enumerate(task.absolute.items()):
            found = known_interval(interquartile_mean, [score])
            error = np.nan_to_num([[found.estimate - found.low], [found.high - found.estimate]])
            axis.bar(i, found.estimate, color=drawn[line].color, yerr=error, capsize=3)
            axis.plot([i] * len(score), score, "k.", ms=3, alpha=0.6)
        axis.set_xticks(range(len(task.absolute)), task.absolute, rotation=40, ha="right")
        axis.set(title=task.task, ylabel=task.metric)
        axis.grid(axis="y", alpha=0.3)


def _grid(scores: Sequence[TaskScores], figure: Any) -> Any:
    """Axes for each task, in rows; those left over are off."""
    columns = min(COLUMNS, len(scores))
    axes = figure.subplots(math.ceil(len(scores) / columns), columns, squeeze=False).ravel()
    for axis in axes[len(scores) :]:
        axis.set_axis_off()
    return axes


def _whisker(axis: Any, found: Interval, at: float, style: Style) -> None:
    axis.plot([found.low, found.high], [at, at], color=style.color, lw=6, alpha=0.35)
    axis.plot(found.estimate, at, marker=style.marker, color=style.color, ms=6)


KINDS: dict[str, Callable[[Sequence[TaskScores], Any], None]] = {
    "curves": draw_curves,
    "aggregates": draw_aggregates,
    "profiles": draw_profiles,
    "improvement": draw_improvement,
    "bars": draw_bars,
}
"""Kind of figure → what draws it"""
OVER_TASKS = ("aggregates", "profiles", "improvement")
"""Kinds that aggregate over tasks"""


def draw(kind: str, scores: Sequence[TaskScores], out: Path) -> None:
    """Draw a figure into a file.

    Raises:
        ConfigError: there is no such kind; the file is no PNG, SVG or PDF; or the figure is over
            tasks that cannot be aggregated.
        RunError: the file cannot be written.
    """
    if kind not in KINDS:
        raise unknown_name("kind of figure", kind, KINDS)
    if out.suffix not in ENDINGS:
        raise ConfigError(f"{out} must end in one of {', '.join(ENDINGS)}.")
    import matplotlib  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with matplotlib.rc_context({"svg.hashsalt": "opspo", "svg.fonttype": "none"}):
        figure = Figure(figsize=_size(kind, scores), layout="constrained")
        KINDS[kind](scores, figure)
        fewest = min(len(row) for task in scores for row in task.absolute.values())
        if fewest < FEW:
            figure.text(0.99, 0.005, note(fewest), ha="right", fontsize=8, color="#b00020")
        try:
            figure.savefig(out, dpi=150, metadata=_metadata(out))
        except OSError as error:
            raise RunError(f"{out} cannot be written: {error}. Choose another file.") from error


def note(seeds: int) -> str:
    """What a figure of few seeds says about them."""
    if seeds == 1:
        return "one seed: no interval can be given"
    return f"{seeds} seeds: too few for an interval that can be trusted"


def _size(kind: str, scores: Sequence[TaskScores]) -> tuple[float, float]:
    lines = len(across(scores).lines)
    if kind in ("curves", "bars"):
        columns = min(COLUMNS, len(scores))
        return 3.6 * columns + 1, 3.0 * math.ceil(len(scores) / columns) + 0.8
    if kind == "aggregates":
        return 11, 1.3 + 0.35 * lines
    if kind == "improvement":
        return 7, 1.2 + 0.3 * lines * (lines - 1) / 2
    return 7.5, 4.2


def _metadata(out: Path) -> dict[str, None]:
    """Without the date, the same figure is the same file."""
    name = {".svg": "Date", ".pdf": "CreationDate"}.get(out.suffix)
    return {name: None} if name else {}
