"""Tabular DEC-MDPs and their exact solutions.

A joint policy is the product of the agents' policies, an array [n, S, A]. There are X = A^n joint
actions, numbered with the last agent's action changing fastest. Everything is a JAX array in the
precision of its inputs; use `vmap` for a batch of problems.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.elimination import solve
from opspo.types import Array

Scalar = float | Array


@struct.dataclass
class Game:
    """A team in a finite world."""

    transition: Array
    """[S, X, S] probability of the next state"""
    initial: Array
    """[S] probability of the first state"""
    reward: Array
    """[S, X] the team's reward"""


def joint_policy(policies: Array) -> Array:
    """Product of the agents' policies [n, S, A]: [S, X]."""
    joint = policies[0]
    for policy in policies[1:]:
        joint = (joint[:, :, None] * policy[:, None, :]).reshape(len(joint), -1)
    return joint


def state_transition(game: Game, joint: Array) -> Array:
    """P(s'|s) [S, S] under a joint policy [S, X]."""
    return jnp.einsum("sx,sxz->sz", joint, game.transition)


def discounted_distribution(game: Game, joint: Array, *, gamma: Scalar) -> Array:
    """d(s) = (1 − γ) Σ_t γ^t P(s_t = s): [S], with sum 1, under a joint policy [S, X]."""
    flow = jnp.eye(len(joint), dtype=joint.dtype) - gamma * state_transition(game, joint).T
    return (1 - gamma) * solve(flow, game.initial)


def stationary_distribution(game: Game, joint: Array) -> Array:
    """d = Pᵀd with sum 1: [S], under a joint policy [S, X] with one recurrent class."""
    states = len(joint)
    # with one recurrent class, 1 − Pᵀ lacks one rank, which the condition on the sum supplies
    flow = jnp.eye(states, dtype=joint.dtype) - state_transition(game, joint).T
    return jnp.linalg.solve(flow + 1, jnp.ones(states, joint.dtype))


def state_value(game: Game, joint: Array, *, gamma: Scalar) -> Array:
    """V(s) [S], the expected discounted sum of rewards under a joint policy [S, X]."""
    flow = jnp.eye(len(joint), dtype=joint.dtype) - gamma * state_transition(game, joint)
    return solve(flow, (joint * game.reward).sum(axis=-1))


def advantage(game: Game, joint: Array, *, gamma: Scalar) -> Array:
    """A(s, a) [S, X] of a joint policy [S, X]."""
    value = state_value(game, joint, gamma=gamma)
    return game.reward + gamma * game.transition @ value - value[:, None]


def expected_return(game: Game, joint: Array, *, gamma: Scalar) -> Array:
    """J = E[Σ γ^t r_t] [] of a joint policy [S, X]."""
    return game.initial @ state_value(game, joint, gamma=gamma)


def mean_log_ratio(game: Game, old: Array, new: Array, *, gamma: Scalar) -> Array:
    """E|log π̂(a|s) / π(a|s)| [] of joint policies [S, X], over the old one's states and actions."""
    distribution = discounted_distribution(game, old, gamma=gamma)
    return distribution @ (old * jnp.abs(jnp.log(new / old))).sum(axis=-1)


def move(game: Game, logits: Array, direction: Array, *, size: float, gamma: Scalar) -> Array:
    """Move logits along a direction until `mean_log_ratio` of the joint policies is `size`.

    The step along the direction is found by bisection, from 0 to 16.

    Args:
        game: with S states and X joint actions.
        logits: [n, S, A].
        direction: [n, S, A], 0 for agents that do not move.
        size: the mean |log r| of the joint policy to reach.
        gamma: the discount of the state distribution in that mean.

    Returns:
        The new logits [n, S, A].
    """
    old = joint_policy(jax.nn.softmax(logits))

    def away(step: Array) -> Array:
        new = joint_policy(jax.nn.softmax(logits + step * direction))
        return mean_log_ratio(game, old, new, gamma=gamma)

    def halve(_: Array, span: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = span
        middle = (low + high) / 2
        short = away(middle) < size
        return jnp.where(short, middle, low), jnp.where(short, high, middle)

    span = jnp.zeros((), logits.dtype), jnp.full((), 16.0, logits.dtype)
    low, high = jax.lax.fori_loop(0, 60, halve, span)
    return logits + (low + high) / 2 * direction


def sample(
    game: Game, joint: Array, key: Array, *, trajectories: int, steps: int
) -> tuple[Array, Array]:
    """Sample rollouts of a joint policy [S, X].

    Returns:
        States int [T + 1, m], including the one after the last action, and joint actions
        int [T, m].
    """
    start_key, key = jax.random.split(key)
    log_joint, log_transition = jnp.log(joint), jnp.log(game.transition)

    def step(state: Array, key: Array) -> tuple[Array, tuple[Array, Array]]:
        act, go = jax.random.split(key)
        action = jax.random.categorical(act, log_joint[state])
        return jax.random.categorical(go, log_transition[state, action]), (state, action)

    start = jax.random.categorical(start_key, jnp.log(game.initial), shape=(trajectories,))
    last, (state, action) = jax.lax.scan(step, start, jax.random.split(key, steps))
    return jnp.concatenate([state, last[None]]), action
