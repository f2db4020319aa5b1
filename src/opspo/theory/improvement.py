"""The algorithms on a tabular game with endless data: what one update after another does to J.

Each agent's surrogate is an exact expectation over states and joint actions, maximised by gradient
ascent on softmax logits [n, S, A]. Nothing is sampled and no critic is fitted, so where J falls it
is the objective itself that misleads. Joint actions are numbered as in `tabular`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import struct

from opspo.objectives import corrections
from opspo.objectives.surrogate import clipped_surrogate
from opspo.theory import games, tabular
from opspo.theory.estimates import Estimate, expected_trace
from opspo.theory.tabular import Game
from opspo.types import Array


@dataclass(frozen=True)
class Numbers:
    """Those of all algorithms; hashable, for `jax.jit`'s static arguments."""

    gamma: float = 0.9
    gae_lambda: float = 0.95
    clip: float = 0.2
    """ε1, MAPPO's and HAPPO's ε"""
    others_clip: float = 0.1
    """ε2"""
    steps: int = 40
    """of the ascent on one surrogate"""
    step_size: float = 0.1
    """by which the logit that moves most does so in the first of them"""


@struct.dataclass
class Data:
    """The policies π that collect, and what endless data of them tell."""

    log_policy: Array
    """[n, S, A] log π^i"""
    joint: Array
    """[S, X] π"""
    distribution: Array
    """[S] d^π"""
    advantage: Array
    """[S, X] A^π"""


Update = Callable[[Game, Array, Array, Numbers], Array]
"""(game, logits [n, S, A], order int [n], numbers) → new logits [n, S, A]."""
Estimator = Callable[[Game, Data, Array, Numbers], Estimate]
"""(game, data, joint policy π̂^{i−1} [S, X], numbers) → d_est [S] and A_est [S, X]."""
Terms = tuple[Array, Array, Array]
"""Weight, low and high, each [..., S, X]."""
Range = Callable[[Array, Array, Numbers], Terms]
"""(log r [..., S, X], position i/n [], numbers) → terms."""


def joint_of(logits: Array) -> Array:
    """Joint policy [S, X] of logits [n, S, A]."""
    return tabular.joint_policy(jax.nn.softmax(logits))


def collect(game: Game, logits: Array, *, gamma: float) -> Data:
    """What an update knows of the policies of `logits` [n, S, A]."""
    joint = joint_of(logits)
    return Data(
        log_policy=jax.nn.log_softmax(logits),
        joint=joint,
        distribution=tabular.discounted_distribution(game, joint, gamma=gamma),
        advantage=tabular.advantage(game, joint, gamma=gamma),
    )


def log_ratios(data: Data, logits: Array) -> Array:
    """log r^j(a^j|s) of every agent, spread over the joint actions: [n, S, X]."""
    agents, _, actions = logits.shape
    # a product with one-hots, since its derivative is a product too and not a scatter
    own = jax.nn.one_hot(games.joint_actions(agents, actions), actions, dtype=logits.dtype)
    return jnp.einsum("nsa,xna->nsx", jax.nn.log_softmax(logits) - data.log_policy, own)


def of_the_data(game: Game, data: Data, joint: Array, numbers: Numbers) -> Estimate:
    """d^π [S] and A^π [S, X], no correction (HAPPO)."""
    return Estimate(data.distribution, data.advantage)


def with_trace(game: Game, data: Data, joint: Array, numbers: Numbers) -> Estimate:
    """d^π [S] and the expected trace of r^{i−1} [S, X] (A2PO)."""
    trace = expected_trace(
        game,
        data.joint,
        joint,
        data.advantage,
        gamma=numbers.gamma,
        gae_lambda=numbers.gae_lambda,
    )
    return Estimate(data.distribution, trace)


def with_trace_and_weight(game: Game, data: Data, joint: Array, numbers: Numbers) -> Estimate:
    """min(ω, 1) d^π [S] with the exact ω = d^{π̂^{i−1}} / d^π, and the expected trace (OPSPO)."""
    there = tabular.discounted_distribution(game, joint, gamma=numbers.gamma)
    # min(ω, 1) d^π without the division, which a state out of reach would not survive
    weighted = jnp.minimum(there, data.distribution)
    return Estimate(weighted, with_trace(game, data, joint, numbers).advantage)


def surrogate(data: Data, estimate: Estimate, log_ratio: Array, terms: Terms) -> Array:
    """Σ_s d_est(s) Σ_x π(x|s) w · min(r^i A_est, clip(r^i, low, high) A_est): [...].

    The state weight is in d_est [S]; log r^i [..., S, X] alone is to be differentiated.
    """
    advantage = jnp.broadcast_to(estimate.advantage, log_ratio.shape)
    each = clipped_surrogate(log_ratio, advantage, *terms)
    return jnp.einsum("s,sx,...sx->...", estimate.distribution, data.joint, each)


def ascend(objective: Callable[[Array], Array], start: Array, numbers: Numbers) -> Array:
    """Where gradient ascent on an objective (logits → []) ends, from `start` [..., S, A].

    The surrogates are sums over states, so each state takes natural steps of its own (and weights
    of states make no difference: that would take states that share parameters). Steps shrink to 0,
    since the maximum mostly lies at a kink of the clip, and have no momentum, which would carry
    past it to where all is flat. About 1% of the gain is left to be had.
    """

    def step(logits: Array, size: Array) -> tuple[Array, None]:
        natural = jax.grad(objective)(logits) / jax.nn.softmax(logits)
        largest = jnp.abs(natural).max(axis=-1, keepdims=True)
        # anything smaller is rounding
        return logits + size * natural / jnp.maximum(largest, 1e-12), None

    shrinking = jnp.linspace(1, 0, numbers.steps, endpoint=False, dtype=start.dtype)
    return jax.lax.scan(step, start, numbers.step_size * shrinking)[0]


@dataclass(frozen=True)
class AtOnce:
    """All agents step together on A^π; the others' ratio is that of the step, without a slope."""

    to_range: Range

    def objective(self, data: Data, logits: Array, numbers: Numbers) -> Array:
        """Σ_i of agent i's surrogate [] at new logits [n, S, A], with a slope in its own only."""
        ratios = log_ratios(data, logits)
        others = jax.lax.stop_gradient(ratios.sum(axis=0, keepdims=True) - ratios)
        terms = self.to_range(others, jnp.ones((), logits.dtype), numbers)
        return surrogate(data, Estimate(data.distribution, data.advantage), ratios, terms).sum()

    def __call__(self, game: Game, logits: Array, order: Array, numbers: Numbers) -> Array:
        """New logits [n, S, A]; the order int [n] does not matter."""
        data = collect(game, logits, gamma=numbers.gamma)
        return ascend(lambda new: self.objective(data, new, numbers), logits, numbers)


@dataclass(frozen=True)
class InTurn:
    """One agent after another, each with those before it as they have become."""

    estimate: Estimator
    to_range: Range

    def objective(
        self, game: Game, data: Data, logits: Array, agent: Array, position: Array, numbers: Numbers
    ) -> Callable[[Array], Array]:
        """Surrogate of the agent whose turn it is, as a function [S, A] → [] of its own logits.

        `logits` [n, S, A] are those of π̂^{i−1}, in which int `agent` [], the i-th to have its
        turn, is still as in π; `position` is i/n [].
        """
        # the agents still to come have ratio 1, so that the sum is that of those before
        terms = self.to_range(log_ratios(data, logits).sum(axis=0), position, numbers)
        estimate = self.estimate(game, data, joint_of(logits), numbers)

        def of_own(own: Array) -> Array:
            ratio = log_ratios(data, logits.at[agent].set(own))[agent]
            return surrogate(data, estimate, ratio, terms)

        return of_own

    def __call__(self, game: Game, logits: Array, order: Array, numbers: Numbers) -> Array:
        """New logits [n, S, A] after the agents' turns in the order int [n]."""
        data = collect(game, logits, gamma=numbers.gamma)

        def turn(current: Array, now: tuple[Array, Array]) -> tuple[Array, None]:
            agent, position = now
            objective = self.objective(game, data, current, agent, position, numbers)
            return current.at[agent].set(ascend(objective, current[agent], numbers)), None

        position = jnp.arange(1, len(order) + 1, dtype=logits.dtype) / len(order)
        return jax.lax.scan(turn, logits, (order, position))[0]


def _double(log_ratio: Array, position: Array, numbers: Numbers) -> Terms:
    """A2PO's; and CoPPO's, since ε_i = ε1 at position 1, where all agents are that move at once."""
    clip = corrections.position_clip(position, clip=numbers.clip)
    return corrections.double_clip_range(log_ratio, clip=clip, others_clip=numbers.others_clip)


def _corrected(log_ratio: Array, _: Array, numbers: Numbers) -> Terms:
    return corrections.opspo_range(log_ratio, clip=numbers.clip, others_clip=numbers.others_clip)


UPDATES: dict[str, Update] = {
    "mappo": AtOnce(lambda r, _, numbers: corrections.ppo_range(r, clip=numbers.clip)),
    "coppo": AtOnce(_double),
    "happo": InTurn(
        of_the_data, lambda r, _, numbers: corrections.ratio_range(r, clip=numbers.clip)
    ),
    "a2po": InTurn(with_trace, _double),
    "opspo": InTurn(with_trace_and_weight, _corrected),
}
"""Names as in `opspo.algorithms`."""


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
