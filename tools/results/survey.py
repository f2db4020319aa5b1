"""The tables of the fidelity survey, from what `benchmarks/fidelity_survey.py` measured."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

from opspo.fidelity.fidelity_table import beyond_baseline, mean_and_half
from tools.results.tables import table

TARGET = "returns"
"""The reference: measured returns, so without the critic's bias"""
COLUMNS = (
    "GAE, critic first",
    "GAE, λ = 0.98",
    "GAE, w = r",
    "AEC",
    "AEC, shuffled",
    "AEC, steady",
    "AEC, SDC",
    "OPSPO",
)
SURE = 0.75
"""Precision of a direction's mean below which its bias is not told"""
USABLE = 0.5
"""Precision of the reference below which nothing is compared with it"""
HEAD = ("task", "agents", "when", "updates", "mean \\|log r\\|")
"""The columns of `_of`"""


def read(folder: Path) -> list[dict[str, Any]]:
    """All that was measured, by task and time."""
    found = [json.loads(gzip.decompress(p.read_bytes())) for p in folder.glob("*.json.gz")]
    return sorted(found, key=lambda each: (each["task"], each["env_steps"]))


def one_batch(folder: Path) -> str:
    """Cosines of single batches: GAE's, and what the others add, with 95% intervals."""
    rows = []
    for each, case in _cases(folder):
        if _precision(case) < USABLE:
            continue
        mean, half = mean_and_half(case["candidates"]["GAE"]["first"][TARGET]["cosines"])
        cells = [*_of(each, case), f"{_precision(case):.2f}", f"{mean:.3f} ± {half:.3f}"]
        for name in COLUMNS:
            beyond = beyond_baseline(case, name, kind="first", target=TARGET)
            assert beyond is not None
            told = f"{beyond[0]:+.3f} ± {beyond[1]:.3f}"
            cells.append(f"**{told}**" if abs(beyond[0]) > beyond[1] else told)
        rows.append([cell.replace("-0", "−0") for cell in cells])
    return table([*HEAD, "precision", "GAE", *COLUMNS], rows)


def directions(folder: Path) -> str:
    """Bias alone (the cosine of the expected direction) and, in brackets, noise over signal."""
    names = ("GAE", "GAE, λ = 0.8", *COLUMNS, "on-policy")
    rows = []
    for each, case in _cases(folder):
        found = {name: case["candidates"][name]["first"] for name in names}
        if _precision(case) < SURE or not _sure(found["GAE"]):
            continue
        cells = [
            f"{_cell(at[TARGET]['direction'])} ({_cell(at['noise'], 0)})" if _sure(at) else "–"
            for at in found.values()
        ]
        rows.append([*_of(each, case), *cells])
    return table([*HEAD, *names], rows)


def _precision(case: dict[str, Any]) -> float:
    return float(case["reference"]["targets"][TARGET]["precision"])


def _sure(found: dict[str, Any]) -> bool:
    """Whether the mean over batches has the direction of what is estimated."""
    batches = len(found[TARGET]["cosines"])
    known = None not in (found["noise"], found[TARGET]["direction"])
    return known and 1 / math.sqrt(1 + found["noise"] / batches) >= SURE


def states(folder: Path) -> str:
    """The states' distance from those under π̂, uncorrected and corrected."""
    rows = []
    for each, case in _cases(folder):
        names = ("GAE", "AEC, SDC", "on-policy")
        cells = [_cell(case["candidates"][name]["states"]) for name in names]
        rows.append([*_of(each, case), *cells])
    return table([*HEAD, "as collected", "stepwise ω", "on-policy"], rows)


def pays(folder: Path) -> str:
    """The batch sizes from which an estimator's cosine is expected to be above GAE's."""
    rows = []
    for each, case in _cases(folder):
        if _precision(case) < SURE or case["updates"] > 1:
            continue
        found = {name: case["candidates"][name]["first"] for name in ("GAE", *COLUMNS)}
        plain = found.pop("GAE")
        if not _sure(plain):
            continue
        cells = [
            _from(plain, other, each["batch_steps"]) if _sure(other) else "–"
            for other in found.values()
        ]
        rows.append([*_of(each, case), *cells])
    return table([*HEAD, *COLUMNS], rows)


def _from(plain: dict[str, Any], other: dict[str, Any], steps: int) -> str:
    """Where c / √(1 + n / b) of one estimator passes that of the other, b in batches."""
    ours, theirs = (max(x[TARGET]["direction"], 0.0) ** 2 for x in (other, plain))
    noise, their_noise = other["noise"], plain["noise"]
    if ours == theirs:
        return "–"
    crossing = (theirs * noise - ours * their_noise) / (ours - theirs)
    if ours > theirs:
        return f"from {_steps(crossing * steps)}" if crossing > 0 else "always"
    return f"below {_steps(crossing * steps)}" if crossing > 0 else "never"


def _steps(x: float) -> str:
    """A number with one significant digit: what is known of it."""
    size = 10 ** math.floor(math.log10(x))
    return f"{round(x / size) * size:,}"


def _cases(folder: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    return [(each, case) for each in read(folder) for case in each["cases"]]


def _of(each: dict[str, Any], case: dict[str, Any]) -> list[str]:
    """What a row begins with."""
    return [
        each["task"].replace("|", "\\|"),
        str(each["agents"]),
        each["when"],
        str(case["updates"]),
        f"{case['log_ratio_abs']:.2f}",
    ]


def _cell(x: float | None, digits: int = 2) -> str:
    return "–" if x is None else f"{x:.{digits}f}".replace("-", "−")
