"""What was measured, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Column, Table

from opspo.fidelity.candidates import BASELINE
from opspo.fidelity.reference import RETURNS

SIGMAS = 1.96
"""Of a 95% interval"""


def mean_and_half(values: Sequence[float | None]) -> tuple[float, float]:
    """Mean of independent values and half the width of its 95% interval, by its standard error."""
    known = np.asarray([x for x in values if x is not None], float)
    if len(known) < 2:
        return float("nan"), float("nan")
    return float(known.mean()), float(SIGMAS * known.std(ddof=1) / len(known) ** 0.5)


def beyond_baseline(
    case: dict[str, Any], name: str, *, kind: str, target: str
) -> tuple[float, float] | None:
    """How much larger a candidate's cosine is than the baseline's on the same batches, and half the
    width of the interval; None for the control that has batches of its own."""
    ours, theirs = (case["candidates"][each][kind][target]["cosines"] for each in (name, BASELINE))
    if len(ours) != len(theirs):
        return None
    pairs = zip(ours, theirs, strict=True)
    return mean_and_half([a - b if None not in (a, b) else None for a, b in pairs])


def print_fidelity(found: dict[str, Any], console: Console) -> None:
    """A table for each case."""
    console.print(
        f"{found['env']}, {found['algo']}, {found['env_steps']:,} steps; "
        f"{found['agents']} agents, batches of {found['batch_steps']:,} steps",
        markup=False,
    )
    for case in found["cases"]:
        console.print(_of_case(case))
        for name, each in case["reference"]["targets"].items():
            console.print(
                f"  reference, {name}: {case['reference']['steps']:,} steps, halves agree to "
                f"{_shown(each['agreement'])}, precision {_shown(each['precision'])}",
                markup=False,
            )


def _of_case(case: dict[str, Any]) -> Table:
    agents = ", ".join(map(str, case["agents"]))
    table = Table(
        Column("candidate", no_wrap=True),
        "cosine, one batch",
        "beyond GAE",
        "all batches",
        "bias alone",
        "first epoch",
        "states",
        title=(
            f"stage {case['stage']} (agent {agents}), {case['updates']} update(s): mean |log r| "
            f"{case['log_ratio_abs']:.3f}, effective sample share "
            f"{case['effective_sample_share']:.2f}"
        ),
        title_justify="left",
    )
    for name, each in case["candidates"].items():
        beyond = beyond_baseline(case, name, kind="first", target=RETURNS)
        table.add_row(
            name,
            _with_half(mean_and_half(each["first"][RETURNS]["cosines"])),
            _with_half(beyond) if beyond and name != BASELINE else "",
            _shown(each["first"][RETURNS]["cosine"]),
            _shown(each["first"][RETURNS]["direction"]),
            _with_half(mean_and_half(each["epoch"][RETURNS]["cosines"])),
            _shown(each["states"]),
        )
    return table


def _with_half(found: tuple[float, float]) -> str:
    return f"{found[0]:.3f} ± {found[1]:.3f}"


def _shown(x: float | None) -> str:
    return "–" if x is None else f"{x:.3f}"
