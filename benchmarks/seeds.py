"""Eight seeds in one program on two devices, against eight runs in turn: whole processes.

    python benchmarks/seeds.py --out benchmarks/seeds.json

Both begin with an empty folder for compiled programs; of the runs in turn, the first fills it for
the others, as `opspo train` does by itself.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from opspo.run_folder import package_versions, read_lines

SEEDS = 8
STEPS = 32_000
FLAGS = [
    *("--env", "smax/3m", "--algo", "opspo", "--total-steps", str(STEPS), "--no-tensorboard"),
    *("--evaluation.every-steps", "0", "--evaluation.final-episodes", "0"),
]


def seconds(*flags: str, cache: str) -> float:
    """Wall time of one `opspo train`, from the start of Python to its end."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "opspo", "train", *FLAGS, *flags],
        env=os.environ | {"JAX_COMPILATION_CACHE_DIR": cache},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - begin


def rate(folder: Path) -> float:
    """Median steps a second of a run, without the iterations that compile."""
    rows = read_lines(folder / "metrics.jsonl")[2:]
    return statistics.median(row["steps_per_second"] for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", default="")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        together = seconds(
            *("--seeds", f"0..{SEEDS - 1}", "--devices", "2"),
            *("--run-dir", str(folder / "together")),
            cache=str(folder / "cache_together"),
        )
        in_turn = [
            seconds(
                *("--seed", str(seed), "--run-dir", str(folder / f"alone{seed}")),
                cache=str(folder / "cache_alone"),
            )
            for seed in range(SEEDS)
        ]
        result = {
            "seeds": SEEDS,
            "steps_each": STEPS,
            "together_seconds": together,
            "in_turn_seconds": in_turn,
            "times_as_fast": sum(in_turn) / together,
            "together_steps_per_second": SEEDS * rate(folder / "together" / "seed0"),
            "alone_steps_per_second": statistics.median(
                rate(folder / f"alone{seed}") for seed in range(SEEDS)
            ),
            "versions": package_versions(),
        }
    print(json.dumps({k: v for k, v in result.items() if k != "versions"}, indent=2))
    if out:
        Path(out).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
