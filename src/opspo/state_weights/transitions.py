"""A batch as transitions of the chain whose state distribution is estimated."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct

from opspo.types import Array, Trajectory


@struct.dataclass
class Transitions:
    """Terms of the estimating equation (`estimators.density_ratio`), each [T, E]."""

    weight: Array
    """share of the sample; 0 where its successor is not in the batch"""
    continues: Array
    """0 where nothing follows, else 1"""
    initial_weight: Array
    """1 where the state begins an episode, else 0"""


def successor(x: Array) -> Array:
    """What is seen a step later, [T, E, ...]; the last row is left as it is, with weight 0."""
    return jnp.concatenate([x[1:], x[-1:]])


def transitions(trajectory: Trajectory, *, discount: float) -> Transitions:
    """The chain of a batch, by erratum E11 in one of two forms.

    discount = 1: stationary. Episodes follow each other, the end of one leads into the start
    of the next, and every step counts alike, as it does in the objective.
    discount < 1: every step has weight γ^t, t the steps since its episode began; nothing follows
    a termination, and where a limit cut the episode the successor is unknown here.
    """
    weight = jnp.ones_like(trajectory.reward).at[-1].set(0)
    going = jnp.ones_like(weight)
    if discount < 1:
        age = trajectory.episode_length - 1
        weight = weight * discount**age * (1 - trajectory.truncated.astype(weight.dtype))
        going = 1 - trajectory.terminated.astype(weight.dtype)
    return Transitions(weight, going, trajectory.first.astype(weight.dtype))
