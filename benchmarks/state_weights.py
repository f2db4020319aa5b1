"""How much of the state distribution's error each state weight leaves, on random tabular problems.

`python benchmarks/state_weights.py` prints a table and writes `state_weights.json` beside it.

Two of three agents have moved, by a joint mean |log r| of `size`. The error of ω is
Σ_s |ω(s) d^π(s) − d^π̂(s)| over Σ_s |d^π(s) − d^π̂(s)|: 1 is no correction. ω(s) is the weighted
mean over the samples of a state, 1 for states without any; the distributions are exact.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from opspo.estimators.density_ratio import positive_mean_one
from opspo.estimators.linear_weight import linear_equation, linear_omega, solve_equation
from opspo.estimators.stepwise import stepwise_wis
from opspo.state_weights.trainers import (
    DensityRatioTrainer,
    KernelTrainer,
    MinimaxTrainer,
    Samples,
)
from opspo.theory import games, tabular
from opspo.types import Array

OUT = Path(__file__).with_suffix(".json")
STATES, AGENTS, ACTIONS, GAMMA, STEPS = 10, 3, 2, 0.95, 100
TRAJECTORIES, SIZES = (40, 400), (0.2, 0.4)

Rollouts = tuple[Array, Array, Array]
"""states int [T + 1, m], joint ratio [T, m], weight γ^t [T, m]"""


def make_game(key: Array, size: float) -> tuple[tabular.Game, Array, Array]:
    """A game, and its team's joint policies before and after the first agents have moved."""
    game_key, old_key, move_key = jax.random.split(key, 3)
    sizes = {"states": STATES, "agents": AGENTS, "actions": ACTIONS}
    game = games.random_game(game_key, **sizes)
    old = games.random_logits(old_key, **sizes)
    direction = jax.random.normal(move_key, old.shape).at[-1].set(0)
    new = tabular.move(game, old, direction, size=size, gamma=GAMMA)
    return game, *(tabular.joint_policy(jax.nn.softmax(x)) for x in (old, new))


@partial(jax.jit, static_argnames=("size", "trajectories"))
def make_problem(key: Array, *, size: float, trajectories: int) -> tuple[Rollouts, Array, Array]:
    """Rollouts of the old policies, and the state distributions before and after [S]."""
    game_key, sample_key = jax.random.split(key)
    game, old, new = make_game(game_key, size)
    state, action = tabular.sample(game, old, sample_key, trajectories=trajectories, steps=STEPS)
    ratio = (new / old)[state[:-1], action]
    weight = jnp.broadcast_to(GAMMA ** jnp.arange(STEPS)[:, None], ratio.shape)
    before, after = (tabular.discounted_distribution(game, x, gamma=GAMMA) for x in (old, new))
    return (state, ratio, weight), before, after


def samples_of(rollouts: Rollouts) -> Samples:
    state, ratio, weight = rollouts
    one_hot = jnp.eye(STATES)
    return Samples(
        state=one_hot[state[:-1].ravel()],
        successor=one_hot[state[1:].ravel()],
        ratio=ratio.ravel(),
        weight=weight.ravel(),
        continues=jnp.ones(weight.size),
        initial=one_hot[state[0]],
        initial_weight=jnp.ones(state.shape[1]),
    )


def stepwise(rollouts: Rollouts, key: Array) -> Array:
    del key
    _, ratio, _ = rollouts
    first = jnp.zeros(ratio.shape, bool).at[0].set(True)
    return stepwise_wis(jnp.log(ratio)[..., None], first).ravel()


def linear(rollouts: Rollouts, key: Array, *, ridge: float) -> Array:
    del key
    samples = samples_of(rollouts)
    equation = linear_equation(
        samples.state,
        samples.successor,
        samples.weight,
        samples.continues,
        samples.initial,
        samples.initial_weight,
        gamma=GAMMA,
    )
    coefficients = solve_equation(equation, samples.ratio[:, None], ridge=ridge)
    return positive_mean_one(linear_omega(samples.state, coefficients)[:, 0], samples.weight)


def learned(rollouts: Rollouts, key: Array, *, trainer: DensityRatioTrainer) -> Array:
    samples = samples_of(rollouts)
    init_key, fit_key = jax.random.split(key)
    networks = trainer.fit(trainer.init(init_key, STATES), samples, fit_key)
    return positive_mean_one(trainer.weight(networks, samples.state), samples.weight)


def minimax(outer_steps: int, *, printed: bool = False) -> Callable:
    trainer = MinimaxTrainer((32,), 1e-3, outer_steps, 2048, GAMMA, inner_steps=5, printed=printed)
    return partial(learned, trainer=trainer)


def kernel(outer_steps: int) -> Callable:
    return partial(learned, trainer=KernelTrainer((32,), 1e-3, outer_steps, 512, GAMMA, 1.0))


ESTIMATORS: dict[str, Callable[[Rollouts, Array], Array]] = {
    "stepwise WIS": stepwise,
    "linear, ridge 0.03": partial(linear, ridge=0.03),
    "minimax, 10 rounds (the paper's)": minimax(10),
    "minimax, 100 rounds": minimax(100),
    "minimax, 300 rounds": minimax(300),
    "minimax as printed, 300 rounds": minimax(300, printed=True),
    "kernel, 10 rounds": kernel(10),
    "kernel, 100 rounds": kernel(100),
    "kernel, 300 rounds": kernel(300),
}

MEASURED = ("error", "error, capped by state", "error, capped by sample", "seconds")


@jax.jit
def relative_errors(omega: Array, rollouts: Rollouts, before: Array, after: Array) -> list[Array]:
    """Of weights ω [T · m] of the samples; of min(ω, 1) by state; of min(ω, 1) by sample."""
    state, weight = rollouts[0][:-1].ravel(), rollouts[2].ravel()
    total = jnp.zeros(STATES).at[state].add(weight)

    def table(omega: Array) -> Array:
        mean = jnp.zeros(STATES).at[state].add(weight * omega) / jnp.maximum(total, 1e-9)
        return jnp.where(total > 0, mean, 1)

    tables = table(omega), jnp.minimum(table(omega), 1), table(jnp.minimum(omega, 1))
    return [jnp.abs(x * before - after).sum() / jnp.abs(before - after).sum() for x in tables]


def measure(estimator: Callable, problems: list, keys: Array) -> dict[str, float]:
    """Medians over the problems."""
    estimator = jax.jit(estimator)
    jax.block_until_ready(estimator(problems[0][0], keys[0]))
    rows = []
    for (rollouts, before, after), key in zip(problems, keys, strict=True):
        begin = time.perf_counter()
        omega = jax.block_until_ready(estimator(rollouts, key))
        seconds = time.perf_counter() - begin
        rows.append([*map(float, relative_errors(omega, rollouts, before, after)), seconds])
    return dict(zip(MEASURED, np.median(rows, axis=0), strict=True))


def main(num_problems: int) -> None:
    results = []
    keys = jax.random.split(jax.random.PRNGKey(0), num_problems)
    print(f"{'min(ω, 1)':>76}")
    numbers = f"{'error':>7}{'by state':>10}{'by sample':>11}{'s':>8}"
    print(f"{'estimator':34}{'trajectories':>13}{'|log r|':>9}{numbers}")
    for trajectories in TRAJECTORIES:
        for size in SIZES:
            make = partial(make_problem, size=size, trajectories=trajectories)
            problems = [make(key) for key in keys]
            for name, estimator in ESTIMATORS.items():
                row = measure(estimator, problems, keys)
                error, by_state, by_sample, seconds = row.values()
                numbers = f"{error:7.2f}{by_state:10.2f}{by_sample:11.2f}{seconds:8.3f}"
                print(f"{name:34}{trajectories:13}{size:9}{numbers}", flush=True)
                setting = {"estimator": name, "trajectories": trajectories, "size": size}
                results.append(setting | row)
    document = {"problems": num_problems, "device": jax.devices()[0].device_kind}
    OUT.write_text(json.dumps(document | {"results": results}, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=20)
    main(parser.parse_args().problems)
