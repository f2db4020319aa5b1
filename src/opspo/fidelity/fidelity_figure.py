"""The measured cosines as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opspo.errors import ConfigError, RunError
from opspo.fidelity.fidelity_table import mean_and_half
from opspo.fidelity.reference import RETURNS

ENDINGS = (".png", ".svg", ".pdf")


def check_ending(out: Path) -> None:
    """Raise a `ConfigError` if a figure's file has another ending than `ENDINGS`."""
    if out.suffix not in ENDINGS:
        raise ConfigError(f"{out} must end in one of {', '.join(ENDINGS)}.")


def draw_fidelity(found: dict[str, Any], out: Path) -> None:
    """A panel for each case: each candidate's cosine from one batch, and that of all batches.

    Raises:
        ConfigError: the file's ending is another one.
        RunError: it cannot be written.
    """
    check_ending(out)
    from matplotlib.figure import Figure  # noqa: PLC0415

    cases = found["cases"]
    names = list(cases[0]["candidates"])
    figure = Figure(figsize=(2.2 + 3.2 * len(cases), 1.2 + 0.26 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(cases), sharey=True, squeeze=False)[0]
    places = range(len(names))[::-1]
    for panel, case in zip(panels, cases, strict=True):
        for place, name in zip(places, names, strict=True):
            first = case["candidates"][name]["first"][RETURNS]
            mean, half = mean_and_half(first["cosines"])
            panel.errorbar(mean, place, xerr=half, fmt="o", color="#0072B2", ms=4)
            if first["cosine"] is not None:
                panel.plot(first["cosine"], place, "D", color="#D55E00", ms=4)
        panel.axvline(0, color="grey", lw=0.8)
        panel.set_title(
            f"stage {case['stage']}, {case['updates']} update(s)\n"
            f"mean |log r| {case['log_ratio_abs']:.2f}",
            fontsize=9,
        )
        panel.set_xlabel("cosine with on-policy")
        panel.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(list(places), names)
    figure.suptitle(
        f"{found['env']}, {found['env_steps']:,} steps: one batch (●), all batches (◆)", fontsize=10
    )
    try:
        figure.savefig(out, dpi=150)
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error}.") from error
