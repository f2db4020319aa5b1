"""The algorithms compared on tabular games: how J goes when one exact update follows another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from opspo.theory import tabular
from opspo.theory.exact_updates import UPDATES, Numbers, Update, joint_of
from opspo.theory.tabular import Game
from opspo.types import Array


@partial(jax.jit, static_argnames=("update", "numbers", "iterations"))
def improve(
    game: Game, logits: Array, key: Array, update: Update, numbers: Numbers, iterations: int
) -> Array:
    """J at the start and after each update, in orders drawn from `key`: [iterations + 1]."""

    def performance(logits: Array) -> Array:
        return tabular.expected_return(game, joint_of(logits), gamma=numbers.gamma)

    def iterate(logits: Array, key: Array) -> tuple[Array, Array]:
        logits = update(game, logits, jax.random.permutation(key, len(logits)), numbers)
        return logits, performance(logits)

    after = jax.lax.scan(iterate, logits, jax.random.split(key, iterations))[1]
    return jnp.concatenate([performance(logits)[None], after])


def optimum(game: Game, gamma: float) -> Array:
    """Best J [] of any joint policy, by value iteration over joint actions, 0 < γ < 1.

    A deterministic policy attains it, which is a product of the agents' own.
    """

    def sweep(_: int, value: Array) -> Array:
        return (game.reward + gamma * game.transition @ value).max(axis=-1)

    sweeps = math.ceil(math.log(1e-12) / math.log(gamma))  # the error shrinks by γ in each
    return game.initial @ jax.lax.fori_loop(0, sweeps, sweep, jnp.zeros_like(game.initial))


@struct.dataclass
class Summary:
    """How a batch of runs went, [] each; the way is that from J at the start to the optimum."""

    falls: Array
    """share of all iterations in which J fell"""
    largest_fall: Array
    """in one iteration, as a share of the way"""
    way: Array
    """share of it that is done after the last iteration, median over the games"""


def summarise(performance: Array, best: Array, *, tolerance: float) -> Summary:
    """Figures of J [games, iterations + 1] and the optima [games].

    A fall of J by less than `tolerance` of the way is not counted.
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
    """Figures of every algorithm by name, on the same games, starting policies and orders.

    `draw` makes a game and the logits [n, S, A] to start from of one of the `keys` [games, ...].
    """
    draw_keys, order_keys = jax.vmap(jax.random.split, out_axes=1)(keys)
    game, logits = jax.jit(jax.vmap(draw))(draw_keys)
    best = jax.vmap(partial(optimum, gamma=numbers.gamma))(game)

    def run(update: Update) -> Summary:
        one = partial(improve, update=update, numbers=numbers, iterations=iterations)
        return summarise(jax.vmap(one)(game, logits, order_keys), best, tolerance=tolerance)

    return {name: run(update) for name, update in updates.items()}
