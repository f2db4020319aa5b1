"""Algorithms' estimates of the exact d^{π̂^{i−1}} and A^{π̂^{i−1}}, from unlimited data of π.

With unlimited data only the bias of a correction remains, not its noise. Every function returns
what holds before each agent's update: index i − 1 for agent i.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.elimination import solve
from opspo.theory import tabular
from opspo.theory.sequence import Sequence
from opspo.theory.tabular import Game, Scalar
from opspo.types import Array


@struct.dataclass
class Estimate:
    """d_est and A_est for each agent's update."""

    distribution: Array
    """[n, S] d_est, non-negative, with sum at most 1"""
    advantage: Array
    """[n, S, X] A_est"""


def of_the_data(sequence: Sequence) -> Estimate:
    """No correction: d^π and A^π for every agent (the vanilla surrogate, Eq. 8)."""
    agents = len(sequence.old)
    return Estimate(
        distribution=jnp.repeat(sequence.distribution[:1], agents, axis=0),
        advantage=jnp.repeat(sequence.advantage[:1], agents, axis=0),
    )


def exact(sequence: Sequence) -> Estimate:
    """d^{π̂^{i−1}} and A^{π̂^{i−1}} themselves."""
    return Estimate(distribution=sequence.distribution[:-1], advantage=sequence.advantage[:-1])


def capped_weight(sequence: Sequence) -> Array:
    """min(ω, 1) d^π with the exact ω, as in the objective: [n, S], with sum at most 1."""
    return jnp.minimum(sequence.distribution[:-1], sequence.distribution[:1])


def expected_trace(
    game: Game,
    behaviour: Array,
    current: Array,
    error: Array,
    *,
    gamma: Scalar,
    gae_lambda: Scalar,
    trace_clip: Scalar = 1.0,
) -> Array:
    """The expectation of `estimators.advantages.trace`: [S, X].

        A(s, a) = δ(s, a) + γ Σ_{s'} P(s' | s, a) T(s')
        T(s)    = Σ_a π(a | s) λ min(c̄, π̂^{i−1}(a | s) / π(a | s)) A(s, a)

    Args:
        game: with S states and X joint actions.
        behaviour: π [S, X].
        current: π̂^{i−1} [S, X].
        error: δ [S, X], the critic's mean TD error; A^π for the critic V^π.
        gamma, gae_lambda: γ, λ.
        trace_clip: c̄; jnp.inf for none.
    """
    kept = gae_lambda * jnp.minimum(current, trace_clip * behaviour)  # π λ min(c̄, π̂/π)
    flow = jnp.eye(len(kept), dtype=kept.dtype) - gamma * tabular.state_transition(game, kept)
    tail = solve(flow, (kept * error).sum(axis=-1))
    return error + gamma * game.transition @ tail


def traces(game: Game, sequence: Sequence, *, gamma: Scalar, gae_lambda: Scalar) -> Array:
    """`expected_trace` before each agent's update, with the critic V^π: [n, S, X]."""
    behaviour, error = sequence.joint[0], sequence.advantage[0]
    return jax.vmap(
        lambda current: expected_trace(
            game, behaviour, current, error, gamma=gamma, gae_lambda=gae_lambda
        )
    )(sequence.joint[:-1])


def doubly_robust(
    game: Game,
    behaviour: Array,
    current: Array,
    value: Array,
    action_value: Array,
    own: Array,
    *,
    gamma: Scalar,
    gae_lambda: Scalar,
    trace_clip: Scalar = 1.0,
) -> Array:
    """The expectation of `estimators.advantages.doubly_robust`: [S, X].

    With u(s) = Σ_a π̂^{i−1}(a | s) q(s, a), it is own + `expected_trace` of the mean error
    R + γ P (V + u) − V − q. It is exact if V + q = Q^{π̂} (then V + u = V^{π̂}: the error is 0) or
    if λ = 1 and nothing is clipped (then the trace sums the errors under π̂ itself):
    `tests/theory/test_doubly_robust.py`.

    Args:
        game: with S states and X joint actions.
        behaviour: π [S, X].
        current: π̂^{i−1} [S, X].
        value: V [S].
        action_value: q [S, X].
        own: [S, X] the agent's own part of q: q less a function of s and a^{−i}.
        gamma, gae_lambda: γ, λ.
        trace_clip: c̄; jnp.inf for none.
    """
    following = value + (current * action_value).sum(-1)
    error = game.reward + gamma * game.transition @ following - value[:, None] - action_value
    tail = expected_trace(
        game,
        behaviour,
        current,
        error,
        gamma=gamma,
        gae_lambda=gae_lambda,
        trace_clip=trace_clip,
    )
    return own + tail


PAIRS = (
    "none",
    "advantage",
    "distribution",
    "trace",
    "trace and capped weight",
    "drawn errors",
    "both",
)
"""What each pair of `estimates` corrects; in the last pair, both are exact."""


def estimates(
    game: Game, sequence: Sequence, key: Array, *, gamma: Scalar, gae_lambda: Scalar
) -> Estimate:
    """All `PAIRS` of estimates, on a new leading axis.

    Besides the algorithms' pairs there is one with drawn errors: the exact distribution mixed with
    a random one, and the exact advantage plus noise of random size.
    """
    data, truth = of_the_data(sequence), exact(sequence)
    trace = traces(game, sequence, gamma=gamma, gae_lambda=gae_lambda)
    share, size, other_key, noise_key = jax.random.split(key, 4)
    share, size = jax.random.uniform(share), jax.random.uniform(size)
    other = jax.nn.softmax(jax.random.normal(other_key, truth.distribution.shape))
    noise = jax.random.uniform(noise_key, truth.advantage.shape, minval=-1.0)
    noise = size * jnp.abs(sequence.advantage).max() * noise
    pairs = {
        "none": data,
        "advantage": Estimate(data.distribution, truth.advantage),
        "distribution": Estimate(truth.distribution, data.advantage),
        "trace": Estimate(data.distribution, trace),
        "trace and capped weight": Estimate(capped_weight(sequence), trace),
        "drawn errors": Estimate(
            (1 - share) * truth.distribution + share * other, truth.advantage + noise
        ),
        "both": truth,
    }
    return jax.tree.map(lambda *all: jnp.stack(all), *[pairs[name] for name in PAIRS])
