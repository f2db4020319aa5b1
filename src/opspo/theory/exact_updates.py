"""The algorithms on a tabular game with endless data: what one update after another does to J.

Each agent's surrogate is an exact expectation over states and joint actions, maximised by gradient
ascent on softmax logits [n, S, A]. Nothing is sampled and no critic is fitted, so where J falls it
is the objective itself that misleads. Joint actions are numbered as in `tabular`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from opspo.algorithms import ALGORITHMS, AlgorithmConfig
from opspo.errors import ConfigError
from opspo.objectives import clip_ranges
from opspo.objectives.surrogate import clipped_surrogate
from opspo.terms import Term, call, named
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


@dataclass(frozen=True)
class Weighted:
    """An estimator with ω̃ d^π [S] for d^π, by the exact ω = d^{π̂^{i−1}} / d^π (OPSPO)."""

    estimate: Estimator
    least: float
    """ω̃ = clip(ω, least, most)"""
    most: float

    def __call__(self, game: Game, data: Data, joint: Array, numbers: Numbers) -> Estimate:
        """d_est [S] and A_est [S, X]."""
        there = tabular.discounted_distribution(game, joint, gamma=numbers.gamma)
        # ω̃ d^π without a division, which a state out of reach would not survive
        here = data.distribution
        weighted = jnp.clip(there, self.least * here, self.most * here)
        return Estimate(weighted, self.estimate(game, data, joint, numbers).advantage)


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
class Simultaneous:
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
class Sequential:
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


@dataclass(frozen=True)
class _Range:
    """A clip range of `objectives.clip_ranges` with the numbers of `Numbers`."""

    term: Term

    def __call__(self, log_ratio: Array, position: Array, numbers: Numbers) -> Terms:
        terms: Terms = call(
            self.term, {"log_ratio": log_ratio, "position": position, **vars(numbers)}
        )
        return terms


EXPECTED: dict[str, Estimator] = {"gae": of_the_data, "trace": with_trace}
"""The setting `advantage` → what its estimator comes to with endless data and an exact critic"""


def exact_update(config: AlgorithmConfig) -> Update:
    """The update of an algorithm, from its declaration.

    Raises:
        ConfigError: its advantage has no exact form here.
    """
    to_range = _Range(named(clip_ranges, config.clip_range))
    if not config.sequential:
        return Simultaneous(to_range)
    if config.advantage not in EXPECTED or config.trace_decay != "factor":
        raise ConfigError(
            f"algorithm.advantage must be one of {', '.join(EXPECTED)}, with trace_decay 'factor', "
            f"to be computed exactly, but they are {config.advantage!r} and {config.trace_decay!r}."
        )
    estimate = EXPECTED[config.advantage]
    if config.state_weight != "none":
        estimate = Weighted(estimate, config.state_weight_min, config.state_weight_max)
    return Sequential(estimate, to_range)


UPDATES: dict[str, Update] = {
    name: exact_update(declaration())
    for name, declaration in ALGORITHMS.items()
    if declaration().critic == "central"  # games here have no observations for a local one
}
"""Name → update of each algorithm with a central critic"""
