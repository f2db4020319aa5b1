"""A batch as transitions of the chain whose state distribution is estimated."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct

from opspo.types import Array, Trajectory


@struct.dataclass
class Transitions:
    """Terms of the estimating equation (`estimators.density_ratio`), each [T, E]."""

    weight: Array
    """The sample's weight; 0 where its successor is not in the batch"""
    continues: Array
    """0 where nothing follows, else 1"""
    initial_weight: Array
    """1 where an episode begins, else 0"""


def successor(x: Array) -> Array:
    """The values one step later, [T, E, ...]; the last row, which has weight 0, is repeated."""
    return jnp.concatenate([x[1:], x[-1:]])


def transitions(trajectory: Trajectory, *, discount: float) -> Transitions:
    """The chain of a batch, in one of two forms (erratum E11).

    With discount = 1 it is stationary: the end of an episode leads to the start of the next one,
    and all steps have equal weight, as in the objective. With discount = γ < 1, every step has
    weight γ^t, with t the steps since its episode began; nothing follows a termination; and a step
    at which a limit cut the episode has weight 0, since its successor is not in the batch.
    """
    weight = jnp.ones_like(trajectory.reward).at[-1].set(0)
    going = jnp.ones_like(weight)
    if discount < 1:
        age = trajectory.episode_length - 1
        weight = weight * discount**age * (1 - trajectory.truncated.astype(weight.dtype))
        going = 1 - trajectory.terminated.astype(weight.dtype)
    return Transitions(weight, going, trajectory.first.astype(weight.dtype))
