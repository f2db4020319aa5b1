"""Checking the claims on many small games that are solved exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from flax import struct

from opspo.theory import games
from opspo.theory.claims import CLAIMS, Claim
from opspo.theory.estimates import PAIRS, Estimate, estimates
from opspo.theory.facts import Facts, facts
from opspo.theory.sequence import Sequence as Update
from opspo.theory.sequence import solve
from opspo.theory.tabular import Game, Scalar
from opspo.types import Array


@dataclass(frozen=True)
class Family:
    """Games of one shape, and the shape of their policies."""

    name: str
    draw: Callable[[Array], Game]
    agents: int
    states: int
    actions: int


def _random(name: str, draw: Callable[..., Game], **sizes: int) -> Family:
    return Family(name, lambda key: draw(key, **sizes), **sizes)


FAMILIES = (
    _random("dense", games.dense_game, agents=2, states=3, actions=2),
    _random("sparse", games.sparse_game, agents=3, states=5, actions=2),
    _random("sparse, four agents", games.sparse_game, agents=4, states=3, actions=2),
    _random("chain", games.chain, agents=2, states=5, actions=3),
    _random("chain, four agents", games.chain, agents=4, states=6, actions=2),
    Family("meeting", partial(games.meeting, cells=3, agents=2), 2, 9, 3),
    Family("penalty", partial(games.penalty, agents=2), 2, 2, 3),
)

FAST_TO_COMPILE = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""Compiling a family's program takes longer than running it; without these options, three times as
long"""

ROUNDING = 1e-9
"""A violation must exceed the bound by this fraction of it plus 1e-12 times the largest |A|."""


@struct.dataclass
class Problem:
    """A game, an update of its team, and the discount."""

    game: Game
    old: Array
    """[n, S, A] the agents' policies before the update"""
    new: Array
    """[n, S, A] the agents' policies after it"""
    gamma: Scalar


def draw_problem(family: Family, key: Array) -> Problem:
    """Draw a game, an update and a discount from 0.5 to 0.99.

    The policies are softmax policies of varying sharpness; the scale of each agent's step in its
    logits is log-uniform from 0.001 to 10.
    """
    game_key, old_key, spread_key, step_key, size_key, gamma_key = jax.random.split(key, 6)
    shape = {"states": family.states, "agents": family.agents, "actions": family.actions}
    spread = jax.random.uniform(spread_key, maxval=3.0)
    logits = games.random_logits(old_key, **shape, spread=spread)
    size = 10 ** jax.random.uniform(size_key, (family.agents, 1, 1), minval=-3.0)
    step = size * games.random_logits(step_key, **shape)
    return Problem(
        game=family.draw(game_key),
        old=jax.nn.softmax(logits),
        new=jax.nn.softmax(logits + step),
        gamma=jax.random.uniform(gamma_key, minval=0.5, maxval=0.99),
    )


def solve_problem(problem: Problem, key: Array) -> tuple[Update, Estimate]:
    """Solve an update; return it with all pairs of estimates on a leading axis."""
    sequence = solve(problem.game, problem.old, problem.new, gamma=problem.gamma)
    lambda_key, key = jax.random.split(key)
    decay = jax.random.uniform(lambda_key, minval=0.8)
    pairs = estimates(problem.game, sequence, key, gamma=problem.gamma, gae_lambda=decay)
    return sequence, pairs


def problem_facts(family: Family, key: Array) -> Facts:
    """Draw and solve a problem; return its facts for each of `PAIRS` on a leading axis."""
    problem_key, estimate_key = jax.random.split(key)
    problem = draw_problem(family, problem_key)
    sequence, pairs = solve_problem(problem, estimate_key)
    return jax.vmap(lambda one: facts(sequence, one, gamma=problem.gamma))(pairs)


@dataclass(frozen=True)
class Worst:
    """The problem on which a claim does worst."""

    ratio: float
    """Error ÷ bound; at most 1 if the claim holds"""
    agent: int | None
    """The agent's number, from 1; None for joint claims"""
    estimate: str
    """One of `PAIRS`"""
    problem: Problem
    given: Estimate
    """d_est and A_est on that problem"""


@dataclass(frozen=True)
class Count:
    """The result of a number of checks."""

    checks: int
    violations: int
    largest: float
    """Largest error ÷ bound"""
    median: float
    """Median error ÷ bound"""


@dataclass(frozen=True)
class Outcome:
    """The result for one claim."""

    claim: Claim
    total: Count
    by_estimate: dict[str, Count]
    """For each of the claim's pairs of estimates"""
    worst: Worst


Part = tuple[Family, Array, Facts]
"""A family, the keys of its problems [N, 2], and their facts, [N, pairs, ...]."""


def run_checks(
    problems: int, seed: int, *, families: tuple[Family, ...] = FAMILIES
) -> list[Outcome]:
    """Check every claim on `problems` problems, spread evenly over the families, in 64-bit."""
    with jax.enable_x64(True):
        parts: list[Part] = []
        for i, family in enumerate(families):
            number = (problems + len(families) - 1 - i) // len(families)
            keys = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(seed), i), number)
            if number:
                solve_all = jax.jit(
                    jax.vmap(partial(problem_facts, family)), compiler_options=FAST_TO_COMPILE
                )
                parts.append((family, keys, solve_all(keys)))
        return [_outcome(claim, parts) for claim in CLAIMS]


def _outcome(claim: Claim, parts: list[Part]) -> Outcome:
    """Pool a claim's figures over the families."""
    ratios, flags = zip(*[_ratios(claim, found) for _, _, found in parts], strict=True)
    return Outcome(
        claim=claim,
        total=_count(ratios, flags),
        by_estimate={
            name: _count([r[:, j] for r in ratios], [f[:, j] for f in flags])
            for j, name in enumerate(claim.estimates)
        },
        worst=_worst(claim, parts, ratios),
    )


def _ratios(claim: Claim, found: Facts) -> tuple[np.ndarray, np.ndarray]:
    """Error ÷ bound, and whether it exceeds 1 by more than rounding.

    Both are [N, pairs, n], or [N, pairs] for joint claims; the pairs are those of the claim.
    """
    rows = np.array([PAIRS.index(name) for name in claim.estimates])
    found = jax.tree.map(lambda x: x[:, rows], found)
    error = np.asarray(jax.vmap(jax.vmap(claim.error))(found))
    bound = np.asarray(jax.vmap(jax.vmap(claim.bound))(found))
    scale = np.asarray(found.epsilon).max(axis=-1)
    scale = scale if error.ndim == scale.ndim else scale[..., None]
    violated = error > bound * (1 + ROUNDING) + 1e-12 * scale
    # where the bound is 0, the error is measured against the size of rounding errors
    ratio = error / np.where(bound > 0, bound, 1e-12 * scale)
    return np.where(violated, ratio, np.minimum(ratio, 1.0)), violated


def _count(ratios: Sequence[np.ndarray], flags: Sequence[np.ndarray]) -> Count:
    pooled = np.concatenate([ratio.reshape(-1) for ratio in ratios])
    return Count(
        checks=len(pooled),
        violations=sum(int(flag.sum()) for flag in flags),
        largest=float(pooled.max()),
        median=float(np.median(pooled)),
    )


@partial(jax.jit, static_argnames="family", compiler_options=FAST_TO_COMPILE)
def _problem_again(key: Array, family: Family) -> tuple[Problem, Estimate]:
    """The problem drawn from a key, and its pairs of estimates; see `problem_facts`."""
    problem_key, estimate_key = jax.random.split(key)
    problem = draw_problem(family, problem_key)
    return problem, solve_problem(problem, estimate_key)[1]


def _worst(claim: Claim, parts: list[Part], ratios: Sequence[np.ndarray]) -> Worst:
    """Redraw the problem with the largest ratio."""
    i = int(np.argmax([ratio.max() for ratio in ratios]))
    row, column, *agent = np.unravel_index(ratios[i].argmax(), ratios[i].shape)
    family, keys, _ = parts[i]
    problem, pairs = _problem_again(keys[row], family)
    name = claim.estimates[int(column)]
    given = jax.tree.map(lambda x: x[PAIRS.index(name)], pairs)
    return Worst(
        ratio=float(ratios[i].max()),
        agent=int(agent[0]) + 1 if agent else None,
        estimate=name,
        problem=jax.device_get(problem),
        given=jax.device_get(given),
    )
