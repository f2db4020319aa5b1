"""Comparing the algorithms on tabular games: how J develops over a series of exact updates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from opspo.theory import tabular
from opspo.theory.exact_forms import UPDATES
from opspo.theory.exact_updates import Numbers, Update, joint_of
from opspo.theory.tabular import Game
from opspo.types import Array


@partial(jax.jit, static_argnames=("update", "numbers", "iterations"))
def improve(
    game: Game, logits: Array, key: Array, update: Update, numbers: Numbers, iterations: int
) -> Array:
    """J at the start and after each update: [iterations + 1].

    Args:
        game: the game.
        logits: [n, S, A] the starting policies.
        key: for the order of the agents in each iteration.
        update: the algorithm.
        numbers: its numbers.
        iterations: number of updates.
    """

    def performance(logits: Array) -> Array:
        return tabular.expected_return(game, joint_of(logits), gamma=numbers.gamma)

    def iterate(logits: Array, key: Array) -> tuple[Array, Array]:
        logits = update(game, logits, jax.random.permutation(key, len(logits)), numbers)
        return logits, performance(logits)

    after = jax.lax.scan(iterate, logits, jax.random.split(key, iterations))[1]
    return jnp.concatenate([performance(logits)[None], after])


def optimum(game: Game, gamma: float) -> Array:
    """The best J [] of any joint policy, by value iteration over joint actions; 0 < γ < 1.

    A deterministic policy attains it, and that is a product of individual policies.
    """

    def sweep(_: int, value: Array) -> Array:
        return (game.reward + gamma * game.transition @ value).max(axis=-1)

    sweeps = math.ceil(math.log(1e-12) / math.log(gamma))  # each multiplies the error by γ
    return game.initial @ jax.lax.fori_loop(0, sweeps, sweep, jnp.zeros_like(game.initial))


@struct.dataclass
class Summary:
    """How a batch of runs went, [] each. "The way" is that from J at the start to the optimum."""

    falls: Array
    """Fraction of all iterations in which J fell"""
    largest_fall: Array
    """Largest fall of J in one iteration, as a fraction of the way"""
    way: Array
    """Fraction of the way covered after the last iteration, median over the games"""


def summarise(performance: Array, best: Array, *, tolerance: float) -> Summary:
    """Summarise J [games, iterations + 1] given the optima [games].

    Falls of J by at most the fraction `tolerance` of the way are not counted.
    """
    start = performance[:, :1]
    way = (performance - start) / (best[:, None] - start)
    fall = jnp.maximum(-jnp.diff(way), 0)
    return Summary((fall > tolerance).mean(dtype=fall.dtype), fall.max(), jnp.median(way[:, -1]))


def compare(
    draw: Callable[[Array], tuple[Game, Array]],
    keys: Array,
    numbers: Numbers,
    *,
    iterations: int,
    tolerance: float = 1e-3,
    updates: Mapping[str, Update] = UPDATES,
) -> dict[str, Summary]:
    """A summary of each algorithm by name, on the same games, starting policies and orders.

    Args:
        draw: (key) → a game and the logits [n, S, A] to start from.
        keys: [games, ...], one for each game.
        numbers: the numbers of all algorithms.
        iterations: number of updates.
        tolerance: falls of J up to this fraction of the way are not counted.
        updates: the algorithms by name.
    """
    draw_keys, order_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    game, logits = jax.jit(jax.vmap(draw))(draw_keys)
    best = jax.vmap(partial(optimum, gamma=numbers.gamma))(game)

    def run(update: Update) -> Summary:
        one = partial(improve, update=update, numbers=numbers, iterations=iterations)
        return summarise(jax.vmap(one)(game, logits, order_keys), best, tolerance=tolerance)

    return {name: run(update) for name, update in updates.items()}
