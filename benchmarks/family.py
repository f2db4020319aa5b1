"""All six algorithms on one task: win rates and speed.

    python benchmarks/family.py run [--algos NAME ...] [--seeds 0 1]
    python benchmarks/family.py table
    python benchmarks/family.py speed

Each run keeps its settings, versions and metrics in results/family/<task>-<algo>-seed<n>/.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "results" / "family"
ALGORITHMS = ("mappo", "ippo", "coppo", "happo", "a2po", "opspo")


def run(env: str, algo: str, seed: int, steps: int) -> None:
    """Train, and keep what the figures come from."""
    import opspo
    from opspo.presets import default_config

    out = RESULTS / f"{env.replace('/', '-')}-{algo}-seed{seed}"
    if out.exists():
        return
    config = default_config(env, algo)
    with tempfile.TemporaryDirectory() as folder:
        config = dataclasses.replace(
            config,
            seed=seed,
            total_steps=steps,
            run_dir=folder,
            tensorboard=False,
            evaluation=dataclasses.replace(config.evaluation, every_steps=0),
        )
        opspo.train(config, overwrite=True)
        out.mkdir(parents=True)
        for name in ("config.json", "versions.json", "metrics.jsonl", "evaluations.jsonl"):
            shutil.copy(Path(folder) / name, out / name)
    print(out.name, flush=True)


def rows(folder: Path) -> list[dict[str, Any]]:
    """A run's metrics, one row an iteration."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").open()]


def win_rate(metrics: list[dict[str, Any]], steps: int) -> float:
    """Sampled win rate over the 20 iterations before `steps`."""
    before = [row["win_rate"] for row in metrics if row["env_steps"] <= steps]
    seen = [value for value in before[-20:] if value is not None]
    return sum(seen) / len(seen)


def table(env: str, steps: int) -> None:
    """Print a Markdown table: each seed's figures."""
    print("| | sampled, 400k | sampled, end | greedy, end | steps/s |")
    print("|---|---|---|---|---|")
    for algo in ALGORITHMS:
        cells: list[list[str]] = [[], [], [], []]
        for folder in sorted(RESULTS.glob(f"{env.replace('/', '-')}-{algo}-seed*")):
            metrics = rows(folder)
            final = json.loads((folder / "evaluations.jsonl").read_text().splitlines()[-1])
            speeds = sorted(row["steps_per_second"] for row in metrics)
            cells[0].append(f"{win_rate(metrics, 400_000):.2f}")
            cells[1].append(f"{win_rate(metrics, steps):.2f}")
            cells[2].append(f"{final['win_rate']:.2f}")
            cells[3].append(f"{speeds[len(speeds) // 2]:,.0f}")
        print(f"| {algo} | " + " | ".join(", ".join(cell) for cell in cells) + " |")


def speed(env: str, rounds: int = 9) -> None:
    """Environment steps per second of whole iterations, in turn; to benchmarks/family_speed.json.

    Everything is compiled before, and the first round is not counted.
    """
    import statistics
    import time

    import jax

    from opspo.devices import compiler_options
    from opspo.environments import make_env
    from opspo.learner import make_learner
    from opspo.presets import default_config
    from opspo.runs import package_versions

    iterations, states, steps = {}, {}, 0
    for algo in ALGORITHMS:
        config = default_config(env, algo)
        learner = make_learner(config, make_env(env))
        states[algo] = jax.jit(learner.init, static_argnums=0)(0)
        iterate = jax.jit(learner.iterate, donate_argnums=0, compiler_options=compiler_options())
        iterations[algo] = iterate.lower(states[algo]).compile()
        steps = config.steps_per_iteration
    seconds: dict[str, list[float]] = {algo: [] for algo in ALGORITHMS}
    for _ in range(rounds + 1):
        for algo in ALGORITHMS:
            begin = time.perf_counter()
            states[algo], _ = jax.block_until_ready(iterations[algo](states[algo]))
            seconds[algo].append(time.perf_counter() - begin)
    found = {algo: steps / statistics.median(times[1:]) for algo, times in seconds.items()}
    for algo, rate in found.items():
        print(f"{algo:6} {rate:,.0f} steps/s")
    data = {"env": env, "steps_per_second": found, "seconds": seconds}
    out = Path(__file__).parent / "family_speed.json"
    out.write_text(json.dumps(data | {"versions": package_versions()}, indent=1) + "\n")


def main() -> None:
    """Run, print the table, or measure the speed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "table", "speed"])
    parser.add_argument("--env", default="smax/2s3z")
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--algos", nargs="*", default=list(ALGORITHMS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    arguments = parser.parse_args()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", ".jax_cache")
    if arguments.command == "table":
        return table(arguments.env, arguments.steps)
    if arguments.command == "speed":
        return speed(arguments.env)
    for seed in arguments.seeds:
        for algo in arguments.algos:
            run(arguments.env, algo, seed, arguments.steps)
    return None


if __name__ == "__main__":
    main()
