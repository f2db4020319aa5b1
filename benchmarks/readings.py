"""The study of readings: OPSPO with one choice changed at a time.

    python benchmarks/readings.py run [--shard 0/2] [--only NAME ...]
    python benchmarks/readings.py table

Each run's curve goes to results/readings/<task>/<variant>-seed<n>.json; runs that are there are
not repeated. Win rates are of the sampled policy, over the episodes that ended in an iteration.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "results" / "readings"
SEEDS = (0, 1)
TASKS = {"smax/2s3z": 400_000, "smax/3m": 200_000, "probe/regulator": 320_000}

# "algo" chooses another algorithm, "preset" the printed forms; a name with a dot is a field of
# `algorithm.density`
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "mappo": {"algo": "mappo"},
    # SDC
    "state_weight=none": {"state_weight": "none"},
    "state_weight=linear": {"state_weight": "linear"},
    "state_weight=linear, discounted": {
        "state_weight": "linear",
        "density.equation": "discounted",
    },
    "state_weight=stepwise_inclusive": {"state_weight": "stepwise_inclusive"},
    "state_weight=kernel": {"state_weight": "kernel"},
    "state_weight=minimax": {"state_weight": "minimax"},
    "state_weight_max=inf": {"state_weight_max": float("inf")},
    "normalise_weight=True": {"normalise_weight": True},
    # AEC
    "advantage=gae": {"advantage": "gae"},
    "advantage=vtrace_next": {"advantage": "vtrace_next"},
    "advantage=td": {"advantage": "td"},
    "value_target=gae": {"value_target": "gae"},
    "value_target=printed": {"value_target": "printed"},
    "trace_decay=bound": {"trace_decay": "bound"},
    "trace_clip=1.2": {"trace_clip": 1.2},
    # CRC
    "clip_range=ppo": {"clip_range": "ppo"},
    "clip_range=ratio": {"clip_range": "ratio"},
    # who counts, and when
    "trace_agents=preceding": {"trace_agents": "preceding"},
    "weight_agents=preceding": {"weight_agents": "preceding"},
    "order=cyclic": {"order": "cyclic"},
    "order=random": {"order": "random"},
    "order=greedy": {"order": "greedy"},
    "cumulative_blocks=False": {"cumulative_blocks": False},
    # all as printed
    "literal": {"preset": "literal"},
}
SEPARATE_ONLY = ("state_weight=kernel", "state_weight=minimax")
SHARED_ONLY = ("trace_agents=preceding", "weight_agents=preceding", "cumulative_blocks=False")


def shares_parameters(task: str) -> bool:
    """The probe of the study has separate parameters, as the paper's continuous tasks do."""
    return not task.startswith("probe")


def applies(task: str, name: str) -> bool:
    """Whether a variant makes a difference where parameters are shared, or separate."""
    return name not in (SEPARATE_ONLY if shares_parameters(task) else SHARED_ONLY)


def configure(task: str, variant: dict[str, Any], seed: int, steps: int) -> Any:
    """The task's preset with the variant's changes."""
    from opspo.config import EvaluationConfig
    from opspo.presets import default_config
    from opspo.presets.literal import as_printed

    changes = dict(variant)
    printed = changes.pop("preset", None) == "literal"
    config = default_config(task, changes.pop("algo", "opspo"))
    density = {k.split(".")[1]: changes.pop(k) for k in list(changes) if "." in k}
    algorithm = dataclasses.replace(
        config.algorithm,
        **changes,
        density=dataclasses.replace(config.algorithm.density, **density),
    )
    config = dataclasses.replace(
        config,
        seed=seed,
        total_steps=steps,
        # SMAX's presets have these; on the probe, 5e-4 is far from done in this time
        optimiser=dataclasses.replace(
            config.optimiser,
            actor_learning_rate=1.5e-3,
            critic_learning_rate=1.5e-3,
            anneal=True,
        ),
        policy=dataclasses.replace(config.policy, share_parameters=shares_parameters(task)),
        algorithm=algorithm,
        tensorboard=False,
        evaluation=EvaluationConfig(every_steps=0, final_episodes=0),
    )
    return as_printed(config) if printed else config


def slug(name: str) -> str:
    """A variant's name as part of a file's."""
    return re.sub(r"[^\w.]+", "-", name)


def run(task: str, name: str, seed: int, steps: int) -> None:
    """Train once and keep the curve."""
    import opspo

    out = RESULTS / task.replace("/", "-") / f"{slug(name)}-seed{seed}.json"
    if out.exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    config = configure(task, VARIANTS[name], seed, steps)
    begin = time.time()
    with tempfile.TemporaryDirectory() as folder:
        opspo.train(dataclasses.replace(config, run_dir=folder), overwrite=True)
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").open()]
    score = "win_rate" if task.startswith("smax") else "episode_return"
    keep = ("env_steps", score, "episodes", "entropy", "weight_mean", "state_weight_ess")
    keep += ("others_log_ratio_abs", "kl", "clip_fraction")
    curve = {key: [row.get(key) for row in rows] for key in keep}
    out.write_text(json.dumps({"task": task, "variant": name, "seed": seed, "curve": curve}))
    print(f"{task} {name} seed {seed}: {time.time() - begin:.0f} s", flush=True)


def final_score(path: Path) -> float:
    """Mean over the last tenth of the iterations that saw an episode end."""
    curve = json.loads(path.read_text())["curve"]
    values = next(v for k, v in curve.items() if k in ("win_rate", "episode_return"))
    seen = [v for v in values if v is not None]
    last = seen[-max(1, len(values) // 10) :]
    return sum(last) / len(last)


def table() -> None:
    """Print a Markdown table: the score of each seed, by task."""
    print("| variant | " + " | ".join(TASKS) + " |")
    print("|---" * (1 + len(TASKS)) + "|")
    for name in VARIANTS:
        cells = []
        for task in TASKS:
            files = sorted((RESULTS / task.replace("/", "-")).glob(f"{slug(name)}-seed*.json"))
            cells.append(", ".join(f"{final_score(file):.2f}" for file in files) or "–")
        print(f"| `{name}` | " + " | ".join(cells) + " |")


def main() -> None:
    """Run the study, or print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "table"])
    parser.add_argument("--shard", default="0/1")
    parser.add_argument("--only", nargs="*", default=list(VARIANTS))
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    arguments = parser.parse_args()
    if arguments.command == "table":
        return table()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", ".jax_cache")
    part, parts = map(int, arguments.shard.split("/"))
    jobs = [
        (t, n, s) for t in arguments.tasks for n in arguments.only for s in SEEDS if applies(t, n)
    ]
    for task, name, seed in jobs[part::parts]:
        run(task, name, seed, TASKS[task])
    return None


if __name__ == "__main__":
    main()
