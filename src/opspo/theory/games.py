"""Families of small tabular games: random ones, and some with the shape of a real task.

Each function draws one game; a batch of them is a `vmap` over keys. Joint actions are numbered as
in `tabular`.
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
    """Dirichlet transitions (low concentration: nearly deterministic) and initial distribution."""
    joint = actions**agents
    transition, initial, reward = jax.random.split(key, 3)
    alpha = jnp.full(states, concentration)
    return Game(
        transition=jax.random.dirichlet(transition, alpha, (states, joint)),
        initial=jax.random.dirichlet(initial, alpha),
        reward=jax.random.normal(reward, (states, joint)),
    )


def chain(key: Array, *, states: int, agents: int, actions: int) -> Game:
    """A walk that takes the whole team: forward if all play the last action, else back a step.

    A step slips (goes the other way) with a drawn probability. The last state pays 1 a step, the
    first a drawn amount below that, which makes staying a local optimum.
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

    A step costs a drawn amount, and fails with a drawn probability for all together. S = cells^n.
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
    """The penalty game (Claus and Boutilier 1998), played over stages, three actions each.

    All first or all last pays 10, all middle 2, first and last mixed a drawn penalty of −10 to 0,
    anything else 0. Agreement moves on to the next stage of the ring, where the pay is a drawn
    share of that.
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
"""Any state can follow any other."""
sparse_game = partial(random_game, concentration=0.1)
"""Nearly deterministic."""


def random_logits(
    key: Array, *, states: int, agents: int, actions: int, spread: Scalar = 1.0
) -> Array:
    """[n, S, A] of softmax policies."""
    return spread * jax.random.normal(key, (agents, states, actions))
