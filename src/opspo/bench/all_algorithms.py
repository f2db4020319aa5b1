"""One update of each algorithm and state weight on the same batch, timed alternately."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from opspo.bench.measure import seconds_of
from opspo.bench.training import batch_of, begin
from opspo.config import TrainConfig
from opspo.devices import compiler_options
from opspo.environments import make_env
from opspo.presets import preset_config
from opspo.training.assembly import make_learner
from opspo.training.learner import Learner
from opspo.types import TrainState, Trajectory

Case = tuple[str, str]
"""Algorithm and state weight."""

SHARED: tuple[Case, ...] = (
    ("happo", "none"),  # costs are given as multiples of this one
    ("mappo", "none"),
    ("coppo", "none"),
    ("a2po", "none"),
    ("opspo", "stepwise"),
    ("opspo", "linear"),
)
SEPARATE: tuple[Case, ...] = (*SHARED, ("opspo", "kernel"), ("opspo", "minimax"))


@dataclass(frozen=True)
class Cost:
    """The time of one update."""

    algo: str
    state_weight: str
    shared: bool
    seconds: float
    """Median over the rounds"""
    ratio: float
    """Median over the rounds of the time divided by HAPPO's in the same round"""


def compare_updates(
    env: str, *, preset: str = "default", epochs: int = 0, rounds: int = 10, shared: bool
) -> list[Cost]:
    """Time one update of each case on the same batch; everything is compiled beforehand.

    Each round times every case once.

    Args:
        env: environment id.
        preset: the source of networks, batch size and each algorithm's numbers.
        epochs: used for every case; 0 takes the preset's for HAPPO.
        rounds: number of times each case is timed.
        shared: with parameters shared by all agents rather than one set per agent.
    """
    cases = SHARED if shared else SEPARATE
    configs = [_config(env, preset, case, epochs=epochs, shared=shared) for case in cases]
    base, state = begin(configs[0], make_env(env))
    trajectory = batch_of(base, state)
    calls = [_compiled(config, base, state, trajectory) for config in configs]
    times = [[seconds_of(call) for call in calls] for _ in range(rounds)]
    return [
        Cost(
            algo=algo,
            state_weight=state_weight,
            shared=shared,
            seconds=statistics.median(row[i] for row in times),
            ratio=statistics.median(row[i] / row[0] for row in times),
        )
        for i, (algo, state_weight) in enumerate(cases)
    ]


def print_costs(env: str, costs: list[Cost]) -> None:
    """Print a table with a row for each case."""
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


def _config(env: str, preset: str, case: Case, *, epochs: int, shared: bool) -> TrainConfig:
    """HAPPO's settings with the algorithm and state weight of the case."""
    algo, state_weight = case
    base = preset_config(preset, env, "happo")
    changes: dict[str, Any] = {
        "epochs": epochs or base.algorithm.epochs,
        "state_weight": state_weight,
    }
    algorithm = preset_config(preset, env, algo).algorithm
    return dataclasses.replace(
        base,
        algo=algo,
        policy=dataclasses.replace(base.policy, share_parameters=shared),
        algorithm=dataclasses.replace(algorithm, **changes),
    )


def _compiled(
    config: TrainConfig, base: Learner, state: TrainState, trajectory: Trajectory
) -> Callable[[], Any]:
    learner = make_learner(config, base.environment)
    kept = learner.algorithm.state_weight.init(
        state.key, jax.eval_shape(learner.example, state), state.actor
    )
    state = state.replace(state_weight=kept)  # type: ignore[attr-defined]
    update = jax.jit(learner.learn, compiler_options=compiler_options())
    jax.block_until_ready(update(state, trajectory, state.key))
    return lambda: update(state, trajectory, state.key)
