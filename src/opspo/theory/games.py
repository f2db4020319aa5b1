"""Families of small tabular games: random ones, and some with the structure of a real task.

Each function draws one game; use `vmap` over keys for a batch. Joint actions are numbered as in
`tabular`.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from opspo.theory.tabular import Game, Scalar
from opspo.types import Array


def joint_actions(agents: int, actions: int) -> np.ndarray:
    """Each agent's action in every joint action: int [X, n]."""
    grid = np.meshgrid(*[np.arange(actions)] * agents, indexing="ij")
    return np.stack([axis.reshape(-1) for axis in grid], axis=-1)


def random_game(
    key: Array, *, states: int, agents: int, actions: int, concentration: float = 0.3
) -> Game:
    """A game with random transitions, initial distribution and rewards.

    Transitions and the initial distribution are drawn from a Dirichlet distribution with the given
    concentration (low: nearly deterministic), rewards from a standard normal distribution.
    """
    joint = actions**agents
    transition, initial, reward = jax.random.split(key, 3)
    alpha = jnp.full(states, concentration)
    return Game(
        transition=jax.random.dirichlet(transition, alpha, (states, joint)),
        initial=jax.random.dirichlet(initial, alpha),
        reward=jax.random.normal(reward, (states, joint)),
    )


def chain(key: Array, *, states: int, agents: int, actions: int) -> Game:
    """A walk along a chain: one step forward if all agents play the last action, else one back.

    A step slips (goes the other way) with a drawn probability up to 0.3. The last state pays 1 per
    step. The first pays a drawn amount up to 0.5, which makes staying there a local optimum.
    """
    slip, small = jax.random.uniform(key, (2,), maxval=jnp.array([0.3, 0.5]))
    together = (joint_actions(agents, actions) == actions - 1).all(axis=-1)
    forward = jnp.where(together, 1 - slip, slip)  # [X]
    here = np.arange(states)
    ahead = jax.nn.one_hot(np.minimum(here + 1, states - 1), states)
    back = jax.nn.one_hot(np.maximum(here - 1, 0), states)
    forward = forward[None, :, None]
    transition = forward * ahead[:, None] + (1 - forward) * back[:, None]
    pay = jnp.zeros(states).at[0].set(small).at[-1].set(1.0)
    return Game(
        transition=transition,
        initial=jax.nn.one_hot(0, states),
        reward=jnp.broadcast_to(pay[:, None], transition.shape[:2]),
    )


def meeting(key: Array, *, cells: int, agents: int) -> Game:
    """Agents on a ring of cells step left, stay, or step right; all in one cell pays 1.

    Steps cost a drawn amount up to 0.2, times the fraction of agents that step. With a drawn
    probability up to 0.3, the steps of all agents fail together. S = cells^n.
    """
    cost, fail = jax.random.uniform(key, (2,), maxval=jnp.array([0.2, 0.3]))
    cell = joint_actions(agents, cells)  # [S, n]
    step = joint_actions(agents, 3) - 1  # [X, n]
    place = (cell[:, None] + step) % cells @ cells ** np.arange(agents)[::-1]  # [S, X]
    states = len(cell)
    moved = jax.nn.one_hot(place, states)
    met = (cell == cell[:, :1]).all(axis=-1).astype(float)
    return Game(
        transition=(1 - fail) * moved + fail * jnp.eye(states)[:, None],
        initial=jnp.full(states, 1 / states),
        reward=met[:, None] - cost * np.abs(step).mean(axis=-1)[None],
    )


def penalty(key: Array, *, agents: int, stages: int = 2) -> Game:
    """The penalty game (Claus and Boutilier 1998), played over stages, with three actions each.

    If all play the first action or all the last, the team is paid 10; if all play the middle one,
    2. A mix that has both the first and the last pays a drawn penalty from −10 to 0, anything else
    0. Each stage scales its pay by a drawn factor from 0.2 to 1. Agreement leads to the next stage
    of a ring.
    """
    scale_key, penalty_key = jax.random.split(key)
    action = joint_actions(agents, 3)
    agreed = (action == action[:, :1]).all(axis=-1)
    mixed = (action == 0).any(axis=-1) & (action == 2).any(axis=-1)
    loss = -jax.random.uniform(penalty_key, maxval=10.0)
    pay = jnp.where(agreed, jnp.where(action[:, 0] == 1, 2.0, 10.0), jnp.where(mixed, loss, 0.0))
    scale = jax.random.uniform(scale_key, (stages,), minval=0.2)
    here = np.arange(stages)
    onward = jax.nn.one_hot((here + 1) % stages, stages)[:, None]
    return Game(
        transition=jnp.where(agreed[None, :, None], onward, jnp.eye(stages)[:, None]),
        initial=jnp.full(stages, 1 / stages),
        reward=scale[:, None] * pay[None],
    )


dense_game = partial(random_game, concentration=1.0)
"""A random game in which any state can follow any other."""
sparse_game = partial(random_game, concentration=0.1)
"""A random game with nearly deterministic transitions."""


def random_logits(
    key: Array, *, states: int, agents: int, actions: int, spread: Scalar = 1.0
) -> Array:
    """Logits [n, S, A] of random softmax policies, normal with standard deviation `spread`."""
    return spread * jax.random.normal(key, (agents, states, actions))
