"""A search for counterexamples: gradient ascent on error ÷ bound over every part of a problem."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from opspo.theory.checks import Problem, Worst
from opspo.theory.claims import Claim
from opspo.theory.estimates import PAIRS, Estimate, estimates
from opspo.theory.facts import Facts, facts
from opspo.theory.sequence import Sequence, solve
from opspo.theory.tabular import Game
from opspo.types import Array

LOWEST_GAMMA, HIGHEST_GAMMA = 0.5, 0.99
ROUNDING = 1e-9
"""A bound below this fraction of the largest |A| counts as 0: rounding errors are that large."""


@struct.dataclass
class Free:
    """A problem and estimates as unconstrained numbers; softmax and sigmoid make them valid."""

    transition: Array
    """[S, X, S] logits"""
    initial: Array
    """[S] logits"""
    reward: Array
    """[S, X]"""
    old: Array
    """[n, S, A] logits"""
    step: Array
    """[n, S, A] new logits minus old ones"""
    gamma: Array
    """[] before the sigmoid"""
    distribution: Array
    """[n, S] logits of d_est, where it is free"""
    advantage_error: Array
    """[n, S, X] A_est − A, where it is free"""


def search(
    claim: Claim,
    seed: int,
    *,
    agents: int = 2,
    states: int = 2,
    actions: int = 2,
    restarts: int = 64,
    ascent_steps: int = 500,
    step_size: float = 0.05,
) -> Worst:
    """Search for a problem with a large error ÷ bound, in 64-bit.

    Args:
        claim: the claim to attack.
        seed: of the random starting problems.
        agents, states, actions: n, S and A.
        restarts: number of starting problems, divided over the claim's pairs of estimates; at least
            one per pair. For the pair 'drawn errors' the estimates themselves are free.
        ascent_steps: steps of Adam from each start.
        step_size: Adam's.

    Returns:
        The worst problem found.
    """
    with jax.enable_x64(True):
        restarts = max(restarts, len(claim.estimates))
        keys = jax.random.split(jax.random.PRNGKey(seed), restarts)
        free = jax.vmap(partial(_draw, agents=agents, states=states, actions=actions))(keys)
        rows = [PAIRS.index(name) for name in claim.estimates]
        pairs = jnp.array([rows[k % len(rows)] for k in range(restarts)])
        climb = partial(_climb, claim, steps=ascent_steps, step_size=step_size)
        ratio, best = jax.jit(jax.vmap(climb))(free, pairs)
        winner = int(jnp.argmax(ratio))
        free = jax.tree.map(lambda x: x[winner], best)
        problem, given, found = _solved(free, pairs[winner])
        error, bound = claim.error(found), claim.bound(found)
        agent = jnp.argmax(error / (bound + ROUNDING * found.epsilon.max()))
        return Worst(
            ratio=float((error / bound).reshape(-1)[agent]),
            agent=int(agent) + 1 if error.ndim else None,
            estimate=PAIRS[int(pairs[winner])],
            problem=jax.device_get(problem),
            given=jax.device_get(given),
        )


def _draw(key: Array, *, agents: int, states: int, actions: int) -> Free:
    joint = actions**agents
    keys = iter(jax.random.split(key, 8))

    def normal(*shape: int) -> Array:
        return jax.random.normal(next(keys), shape)

    return Free(
        transition=2 * normal(states, joint, states),
        initial=normal(states),
        reward=normal(states, joint),
        old=normal(agents, states, actions),
        step=normal(agents, states, actions),
        gamma=normal(),
        distribution=normal(agents, states),
        advantage_error=normal(agents, states, joint),
    )


def _realise(free: Free, pair: Array) -> tuple[Problem, Sequence, Estimate]:
    """The problem that the free numbers define, solved, with one pair of estimates."""
    problem = Problem(
        game=Game(
            transition=jax.nn.softmax(free.transition),
            initial=jax.nn.softmax(free.initial),
            reward=free.reward,
        ),
        old=jax.nn.softmax(free.old),
        new=jax.nn.softmax(free.old + free.step),
        gamma=LOWEST_GAMMA + (HIGHEST_GAMMA - LOWEST_GAMMA) * jax.nn.sigmoid(free.gamma),
    )
    sequence = solve(problem.game, problem.old, problem.new, gamma=problem.gamma)
    named = estimates(
        problem.game, sequence, jax.random.PRNGKey(0), gamma=problem.gamma, gae_lambda=0.95
    )
    own = Estimate(
        distribution=jax.nn.softmax(free.distribution),
        advantage=sequence.advantage[:-1] + free.advantage_error,
    )
    is_free = pair == PAIRS.index("drawn errors")
    given = jax.tree.map(lambda mine, all: jnp.where(is_free, mine, all[pair]), own, named)
    return problem, sequence, given


@jax.jit
def _solved(free: Free, pair: Array) -> tuple[Problem, Estimate, Facts]:
    problem, sequence, given = _realise(free, pair)
    return problem, given, facts(sequence, given, gamma=problem.gamma)


def _climb(
    claim: Claim, free: Free, pair: Array, *, steps: int, step_size: float
) -> tuple[Array, Free]:
    """The largest ratio met during the ascent, and the free numbers there."""
    optimiser = optax.adam(step_size)

    def log_ratio(free: Free) -> Array:
        problem, sequence, given = _realise(free, pair)
        found = facts(sequence, given, gamma=problem.gamma)
        floor = ROUNDING * found.epsilon.max()
        return (jnp.log(claim.error(found) + 1e-30) - jnp.log(claim.bound(found) + floor)).max()

    def ascend(carry: Any, _: None) -> tuple[Any, None]:
        free, momentum, best, record = carry
        value, slope = jax.value_and_grad(log_ratio)(free)
        slope = jax.tree.map(lambda x: jnp.nan_to_num(-x), slope)
        better = value > record
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), free, best)
        change, momentum = optimiser.update(slope, momentum)
        moved = optax.apply_updates(free, change)
        return (moved, momentum, best, jnp.maximum(value, record)), None

    start = (free, optimiser.init(free), free, jnp.full((), -jnp.inf, free.reward.dtype))
    (_, _, best, record), _ = jax.lax.scan(ascend, start, None, length=steps)
    return jnp.exp(record), best
