"""All six algorithms on one task, at the same epochs and at equal gradient steps; and their speed.

    python benchmarks/family.py run [--algos NAME ...] [--seeds 0 1 2] [--steps 1000000]
    python benchmarks/family.py table
    python benchmarks/family.py speed

Each run keeps its settings, versions and metrics in results/family/<task>-<algo>-seed<n>/, those
at equal steps (`opspo train --variant equal_steps`) in <task>-<algo>-equal_steps-seed<n>/.
Algorithms in turn take as many steps already, so theirs are the same runs.
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
VARIANTS = ("", "equal_steps")
EARLY = 400_000
"""Steps by which those that learn fast have learned"""


def config_of(env: str, algo: str, variant: str) -> Any:
    """The settings; None where the variant changes nothing."""
    from opspo.environments import make_env
    from opspo.presets import default_config, variant_config

    config = default_config(env, algo)
    if not variant:
        return config
    num_agents = make_env(env).spec.num_agents
    varied = variant_config(variant, config, num_agents=num_agents)
    return None if varied == config else varied


def folder_of(env: str, algo: str, variant: str, seed: int | str) -> str:
    """Of one run, in results/family."""
    return "-".join([env.replace("/", "-"), algo, *([variant] if variant else []), f"seed{seed}"])


def run(env: str, algo: str, variant: str, seed: int, steps: int) -> None:
    """Train, and keep what the figures come from."""
    import opspo

    out = RESULTS / folder_of(env, algo, variant, seed)
    config = config_of(env, algo, variant)
    if out.exists() or config is None:
        return
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
    """Print a Markdown table: each seed's figures, at the same epochs and at equal steps."""
    names = ("sampled, early", "sampled, end", "greedy, end")
    head = [f"{kind}: {name}" for kind in ("same epochs", "equal steps") for name in names]
    print("| | " + " | ".join(head) + " |")
    print("|---" * (len(head) + 1) + "|")
    for algo in ALGORITHMS:
        same = figures(env, algo, "", steps)
        equal = figures(env, algo, "equal_steps", steps)
        unchanged = config_of(env, algo, "equal_steps") is None
        cells = same + (same if unchanged else equal)
        print(f"| {algo} | " + " | ".join(", ".join(cell) for cell in cells) + " |")


def figures(env: str, algo: str, variant: str, steps: int) -> list[list[str]]:
    """What the table says of an algorithm, each column a figure for every seed."""
    columns: list[list[str]] = [[], [], []]
    for folder in sorted(RESULTS.glob(folder_of(env, algo, variant, "*"))):
        metrics = rows(folder)
        final = json.loads((folder / "evaluations.jsonl").read_text().splitlines()[-1])
        columns[0].append(f"{win_rate(metrics, EARLY):.2f}")
        columns[1].append(f"{win_rate(metrics, steps):.2f}")
        columns[2].append(f"{final['win_rate']:.2f}")
    return columns


def speed(env: str, rounds: int = 9) -> None:
    """Environment steps per second of whole iterations, in turn; to benchmarks/family_speed.json.

    Everything is compiled before, and the first round is not counted.
    """
    import statistics
    import time

    import jax

    from opspo.devices import compiler_options
    from opspo.environments import make_env
    from opspo.run_folder import package_versions
    from opspo.training.assembly import make_learner

    cases = {
        f"{algo} {variant}".strip(): config
        for algo in ALGORITHMS
        for variant in VARIANTS
        if (config := config_of(env, algo, variant)) is not None
    }
    iterations, states, steps = {}, {}, 0
    for case, config in cases.items():
        learner = make_learner(config, make_env(env))
        states[case] = jax.jit(learner.init, static_argnums=0)(0)
        iterate = jax.jit(learner.iterate, donate_argnums=0, compiler_options=compiler_options())
        iterations[case] = iterate.lower(states[case]).compile()
        steps = config.steps_per_iteration
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(rounds + 1):
        for case in cases:
            begin = time.perf_counter()
            states[case], _ = jax.block_until_ready(iterations[case](states[case]))
            seconds[case].append(time.perf_counter() - begin)
    found = {case: steps / statistics.median(times[1:]) for case, times in seconds.items()}
    for case, rate in found.items():
        print(f"{case:18} {rate:,.0f} steps/s")
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
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", ".jax_cache")
    if arguments.command == "table":
        return table(arguments.env, arguments.steps)
    if arguments.command == "speed":
        return speed(arguments.env)
    for seed in arguments.seeds:
        for algo in arguments.algos:
            for variant in VARIANTS:
                run(arguments.env, algo, variant, seed, arguments.steps)
    return None


if __name__ == "__main__":
    main()
