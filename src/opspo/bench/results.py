"""The results of a benchmark, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from opspo.bench.measure import Timing, peak_memory, product_rate
from opspo.run_folder import package_versions


def summary(timing: Timing, *, steps: int, flop: int | None = None) -> dict[str, Any]:
    """The figures of one measurement.

    Args:
        timing: the measured times.
        steps: environment steps per round.
        flop: floating-point operations of the matrix products per round; None to leave out rates.
    """
    lower, upper = timing.quartiles
    found: dict[str, Any] = {
        "seconds": {
            "median": timing.median,
            "lower_quartile": lower,
            "upper_quartile": upper,
            "rounds": list(timing.seconds),
        },
        "steps": steps,
        "steps_per_second": {
            "median": steps / timing.median,
            "lower_quartile": steps / upper,
            "upper_quartile": steps / lower,
        },
        "lower_seconds": timing.lower_seconds,
        "compile_seconds": timing.compile_seconds,
        "peak_memory_bytes": peak_memory(),  # before the large product adds to it
    }
    if flop is not None:
        rate, most = flop / timing.median, product_rate()
        found |= {
            "flop": flop,
            "flop_per_second": rate,
            "product_flop_per_second": most,
            "share_of_product_rate": rate / most,
        }
    return found


def print_summary(title: str, found: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(title=title)
    for column in ("", "median", "quartiles"):
        table.add_column(column)
    seconds, rates = found["seconds"], found["steps_per_second"]
    table.add_row("ms", *_spread(seconds, 1000, "{:.4g}"))
    table.add_row("environment steps/s", *_spread(rates, 1, "{:,.0f}"))
    table.add_row("tracing and lowering, s", f"{found['lower_seconds']:.2f}")
    table.add_row("compiling, s", f"{found['compile_seconds']:.2f}")
    table.add_row("peak memory, MiB", f"{found['peak_memory_bytes'] / 2**20:,.0f}")
    if "flop" in found:
        table.add_row("GFLOP of matrix products", f"{found['flop'] / 1e9:.4g}")
        table.add_row("GFLOP/s", f"{found['flop_per_second'] / 1e9:.4g}")
        table.add_row("GFLOP/s of a large product", f"{found['product_flop_per_second'] / 1e9:.4g}")
        table.add_row("share of that", f"{found['share_of_product_rate']:.1%}")
    Console().print(table)


def _spread(found: dict[str, Any], scale: float, form: str) -> tuple[str, str]:
    median, lower, upper = (
        form.format(scale * found[name]) for name in ("median", "lower_quartile", "upper_quartile")
    )
    return median, f"{lower} to {upper}"


def write(out: str, benchmark: str, settings: dict[str, Any], found: dict[str, Any]) -> None:
    """Write the figures, settings and versions as JSON to `out`, unless it is empty."""
    if not out:
        return
    devices = [str(device.device_kind) for device in jax.devices()]
    data = {"benchmark": benchmark, "settings": settings} | found
    data |= {"devices": devices, "versions": package_versions()}
    Path(out).write_text(json.dumps(data, indent=1) + "\n")
