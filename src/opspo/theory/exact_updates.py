"""The algorithms' updates on a tabular game with unlimited data.

Each agent's surrogate is an exact expectation over states and joint actions, maximised by gradient
ascent on softmax logits [n, S, A]. Nothing is sampled and no critic is fitted, so if J falls, the
objective itself is to blame. Joint actions are numbered as in `tabular`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from opspo.objectives.surrogate import clipped_surrogate
from opspo.theory import games, tabular
from opspo.theory.estimates import Estimate, expected_trace
from opspo.theory.tabular import Game
from opspo.types import Array


@dataclass(frozen=True)
class Numbers:
    """The numbers of all algorithms; hashable, to be a static argument of `jax.jit`."""

    gamma: float = 0.9
    gae_lambda: float = 0.95
    clip: float = 0.2
    """ε1, MAPPO's and HAPPO's ε"""
    others_clip: float = 0.1
    """ε2"""
    steps: int = 40
    """Number of gradient steps on one surrogate"""
    step_size: float = 0.1
    """Change of each state's fastest-moving logit in the first step"""


@struct.dataclass
class Data:
    """The policies π that collect, and what unlimited data of them reveal."""

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
    """The joint policy [S, X] of softmax logits [n, S, A]."""
    return tabular.joint_policy(jax.nn.softmax(logits))


def collect(game: Game, logits: Array, *, gamma: float) -> Data:
    """What an update knows about the policies with `logits` [n, S, A]."""
    joint = joint_of(logits)
    return Data(
        log_policy=jax.nn.log_softmax(logits),
        joint=joint,
        distribution=tabular.discounted_distribution(game, joint, gamma=gamma),
        advantage=tabular.advantage(game, joint, gamma=gamma),
    )


def log_ratios(data: Data, logits: Array) -> Array:
    """log r^j(a^j|s) of every agent for each joint action: [n, S, X], at logits [n, S, A]."""
    agents, _, actions = logits.shape
    # a product with one-hots, since its derivative is another product rather than a scatter
    own = jax.nn.one_hot(games.joint_actions(agents, actions), actions, dtype=logits.dtype)
    return jnp.einsum("nsa,xna->nsx", jax.nn.log_softmax(logits) - data.log_policy, own)


def of_the_data(game: Game, data: Data, joint: Array, numbers: Numbers) -> Estimate:
    """d^π [S] and A^π [S, X], without correction (HAPPO)."""
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
    """An estimator with ω̃ d^π [S] in place of d^π, for the exact ω = d^{π̂^{i−1}} / d^π (OPSPO)."""

    estimate: Estimator
    least: float
    """ω̃ = clip(ω, least, most)"""
    most: float

    def __call__(self, game: Game, data: Data, joint: Array, numbers: Numbers) -> Estimate:
        """d_est [S] and A_est [S, X]."""
        there = tabular.discounted_distribution(game, joint, gamma=numbers.gamma)
        # ω̃ d^π without the division, which would fail at unreachable states
        here = data.distribution
        weighted = jnp.clip(there, self.least * here, self.most * here)
        return Estimate(weighted, self.estimate(game, data, joint, numbers).advantage)


def surrogate(data: Data, estimate: Estimate, log_ratio: Array, terms: Terms) -> Array:
    """Σ_s d_est(s) Σ_x π(x|s) w · min(r^i A_est, clip(r^i, low, high) A_est): [...].

    Args:
        data: has π.
        estimate: d_est [S], which includes the state weight, and A_est [S, X].
        log_ratio: log r^i [..., S, X], the only argument to differentiate by.
        terms: w, low and high, each [..., S, X].
    """
    advantage = jnp.broadcast_to(estimate.advantage, log_ratio.shape)
    each = clipped_surrogate(log_ratio, advantage, *terms)
    return jnp.einsum("s,sx,...sx->...", estimate.distribution, data.joint, each)


def ascend(objective: Callable[[Array], Array], start: Array, numbers: Numbers) -> Array:
    """Logits after gradient ascent on an objective (logits → []) from `start` [..., S, A].

    The surrogates are sums over states, so each state takes its own natural gradient steps. (State
    weights therefore make no difference; they would if states shared parameters.) Step sizes
    decrease to 0, since the maximum is usually at a kink of the clip. There is no momentum, which
    would carry the logits past the kink, where the objective is flat. About 1% of the possible gain
    remains unrealised.
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
    """A simultaneous update on A^π; the others' ratio is the current one, not differentiated."""

    to_range: Range

    def objective(self, data: Data, logits: Array, numbers: Numbers) -> Array:
        """Sum of all agents' surrogates [] at new logits [n, S, A].

        Each agent's surrogate is differentiable in that agent's logits only.
        """
        ratios = log_ratios(data, logits)
        others = jax.lax.stop_gradient(ratios.sum(axis=0, keepdims=True) - ratios)
        terms = self.to_range(others, jnp.ones((), logits.dtype), numbers)
        return surrogate(data, Estimate(data.distribution, data.advantage), ratios, terms).sum()

    def __call__(self, game: Game, logits: Array, order: Array, numbers: Numbers) -> Array:
        """New logits [n, S, A]; the order, int [n], has no effect."""
        data = collect(game, logits, gamma=numbers.gamma)
        return ascend(lambda new: self.objective(data, new, numbers), logits, numbers)


@dataclass(frozen=True)
class Sequential:
    """A sequential update: each surrogate accounts for the preceding agents' new policies."""

    estimate: Estimator
    to_range: Range

    def objective(
        self, game: Game, data: Data, logits: Array, agent: Array, position: Array, numbers: Numbers
    ) -> Callable[[Array], Array]:
        """One agent's surrogate, as a function [S, A] → [] of its own logits.

        Args:
            game: the game.
            data: of π.
            logits: [n, S, A] of π̂^{i−1}, in which the agent's own policy is still that of π.
            agent: int [], the i-th agent in the order.
            position: [] i/n.
            numbers: the algorithm's.
        """
        # agents not yet updated have ratio 1, so the sum is over the preceding agents
        terms = self.to_range(log_ratios(data, logits).sum(axis=0), position, numbers)
        estimate = self.estimate(game, data, joint_of(logits), numbers)

        def of_own(own: Array) -> Array:
            ratio = log_ratios(data, logits.at[agent].set(own))[agent]
            return surrogate(data, estimate, ratio, terms)

        return of_own

    def __call__(self, game: Game, logits: Array, order: Array, numbers: Numbers) -> Array:
        """New logits [n, S, A] after updating the agents in the order, int [n]."""
        data = collect(game, logits, gamma=numbers.gamma)

        def turn(current: Array, now: tuple[Array, Array]) -> tuple[Array, None]:
            agent, position = now
            objective = self.objective(game, data, current, agent, position, numbers)
            return current.at[agent].set(ascend(objective, current[agent], numbers)), None

        position = jnp.arange(1, len(order) + 1, dtype=logits.dtype) / len(order)
        return jax.lax.scan(turn, logits, (order, position))[0]
