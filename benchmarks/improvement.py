"""The algorithms with endless data: does J rise with every update, and how far does it come?

    python benchmarks/improvement.py

Writes benchmarks/improvement.json and prints the table of docs/theory.md. `opspo, centred` is
OPSPO with the mean of its advantage over the actions of π̂^{i−1} taken away at each state.
"""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import jax

from opspo.run_folder import package_versions
from opspo.theory import comparison, games
from opspo.theory.exact_forms import UPDATES
from opspo.theory.exact_updates import Numbers, Sequential

GAMES, ITERATIONS = 100, 30
THREE = {"agents": 3, "actions": 3}
FAMILIES: dict[str, tuple[Any, dict[str, int]]] = {
    "dense": (partial(games.dense_game, states=5, **THREE), THREE | {"states": 5}),
    "sparse": (partial(games.sparse_game, states=5, **THREE), THREE | {"states": 5}),
    "chain": (partial(games.chain, states=6, **THREE), THREE | {"states": 6}),
    "meeting": (
        partial(games.meeting, cells=4, agents=2),
        {"agents": 2, "actions": 3, "states": 16},
    ),
    "penalty": (partial(games.penalty, agents=3), THREE | {"states": 2}),
}


def centred(game: Any, data: Any, joint: Any, numbers: Numbers) -> Any:
    """OPSPO's estimates with the baseline of the present policies."""
    estimate = UPDATES["opspo"].estimate(game, data, joint, numbers)
    mean = (joint * estimate.advantage).sum(axis=-1, keepdims=True)
    return estimate.replace(advantage=estimate.advantage - mean)


def main() -> None:
    """Run every family, at the paper's clip and at one three times as wide."""
    opspo = UPDATES["opspo"]
    assert isinstance(opspo, Sequential)
    updates = UPDATES | {"opspo, centred": dataclasses.replace(opspo, estimate=centred)}
    print("| | " + " | ".join(updates) + " |")
    print("|---" * (1 + len(updates)) + "|")
    rows = []
    with jax.enable_x64(True):
        for clip in (0.2, 0.6):
            numbers = Numbers(clip=clip, others_clip=clip / 2)
            for name, (family, sizes) in FAMILIES.items():
                found = run(family, sizes, updates, numbers)
                rows.append({"family": name, "clip": clip} | found)
                cells = [f"{c['way']:.2f} ({c['falls']:.4f})" for c in found.values()]
                print(f"| {name}, {clip} | " + " | ".join(cells) + " |", flush=True)
    settings = {"games": GAMES, "iterations": ITERATIONS, "versions": package_versions()}
    out = Path(__file__).parent / "improvement.json"
    out.write_text(json.dumps(settings | {"rows": rows}, indent=1) + "\n")


def run(
    family: Any, sizes: dict[str, int], updates: dict[str, Any], numbers: Numbers
) -> dict[str, dict[str, float]]:
    """Share of the way, share of falls and the largest fall for each algorithm."""

    def draw(key: Any) -> tuple[Any, Any]:
        game_key, logits_key = jax.random.split(key)
        return family(game_key), games.random_logits(logits_key, **sizes)

    keys = jax.random.split(jax.random.PRNGKey(0), GAMES)
    found = comparison.compare(draw, keys, numbers, iterations=ITERATIONS, updates=updates)
    return {
        name: {field: float(value) for field, value in vars(summary).items()}
        for name, summary in found.items()
    }


if __name__ == "__main__":
    main()
