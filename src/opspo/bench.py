"""What an update costs: the algorithms side by side, on the same batch shapes, in one run."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from opspo.config import TrainConfig
from opspo.environments import make_env
from opspo.learner import make_learner
from opspo.presets import preset_config
from opspo.runs import package_versions

BASE = ("happo", "none")
"""What costs are given as multiples of."""
CASES = {
    True: (BASE, ("mappo", "none"), ("a2po", "none"), ("opspo", "stepwise"), ("opspo", "linear")),
    False: (
        BASE,
        ("mappo", "none"),
        ("a2po", "none"),
        ("opspo", "stepwise"),
        ("opspo", "linear"),
        ("opspo", "kernel"),
        ("opspo", "minimax"),
    ),
}
"""shared → (algorithm, state weight)"""


@dataclass(frozen=True)
class Cost:
    """Seconds of one update."""

    algo: str
    state_weight: str
    shared: bool
    seconds: float
    """median"""
    ratio: float
    """median over the rounds of the time over HAPPO's in the same round"""


def bench_update(
    env: str, *, preset: str = "default", epochs: int = 0, rounds: int = 10, shared: bool
) -> list[Cost]:
    """Time one update of each case, in turn, `rounds` times, after compiling all of them."""
    base = preset_config(preset, env, "happo")
    epochs = epochs or base.algorithm.epochs
    calls: list[Callable[[], Any]] = []
    for algo, state_weight in CASES[shared]:
        config = preset_config(preset, env, algo)
        changes: dict[str, Any] = {"epochs": epochs, "state_weight": state_weight}
        config = dataclasses.replace(
            base,
            algo=algo,
            policy=dataclasses.replace(base.policy, share_parameters=shared),
            algorithm=dataclasses.replace(config.algorithm, **changes),
        )
        calls.append(_compiled(config))
    times = [[_seconds(call) for call in calls] for _ in range(rounds)]
    return [
        Cost(
            algo=algo,
            state_weight=state_weight,
            shared=shared,
            seconds=statistics.median(row[i] for row in times),
            ratio=statistics.median(row[i] / row[0] for row in times),
        )
        for i, (algo, state_weight) in enumerate(CASES[shared])
    ]


def report(env: str, costs: list[Cost], settings: dict[str, Any], out: str) -> None:
    """Print the table, and write it with the versions to a file if one is named."""
    table = Table(title=f"One update on {env}")
    for column in ("algorithm", "state weight", "parameters", "ms", "times HAPPO"):
        table.add_column(column)
    for cost in costs:
        table.add_row(
            cost.algo,
            cost.state_weight,
            "shared" if cost.shared else "separate",
            f"{1000 * cost.seconds:.1f}",
            f"{cost.ratio:.2f}",
        )
    Console().print(table)
    if out:
        data = {"env": env} | settings | {"versions": package_versions()}
        data["costs"] = [dataclasses.asdict(cost) for cost in costs]
        Path(out).write_text(json.dumps(data, indent=2) + "\n")


def _compiled(config: TrainConfig) -> Callable[[], Any]:
    learner = make_learner(config, make_env(config.env))
    state = jax.jit(learner.init, static_argnums=0)(0)
    trajectory = jax.jit(lambda s: learner.collect(s, s.key)[1])(state)
    update = jax.jit(learner.learn)
    jax.block_until_ready(update(state, trajectory, state.key))
    return lambda: update(state, trajectory, state.key)


def _seconds(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - begin
