"""Moments of the states that a policy visits: how much of a shift of them a state weight undoes."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct

from opspo.types import Array

FAR = 5.0
"""Standard deviations at which a feature is cut: outliers would decide the second moments"""


@struct.dataclass
class Unit:
    """A fixed origin and unit of each feature."""

    mean: Array
    """[s]"""
    deviation: Array
    """[s]"""


def unit_of(state: Array) -> Unit:
    """Mean and standard deviation of states [T, E, M, s]; constant features have the unit 1."""
    deviation = state.std((0, 1, 2))
    return Unit(state.mean((0, 1, 2)), jnp.where(deviation > 1e-6, deviation, 1.0))


def moments(state: Array, unit: Unit, weight: Array | None = None) -> Array:
    """First and second moments of the states under normalised weights.

    Args:
        state: [T, E, M, s].
        unit: of the features.
        weight: [T, E], not negative; None: 1 for all.

    Returns:
        [2 s]: the means of z and of z², where z is a feature in its unit.
    """
    z = jnp.clip((state - unit.mean) / unit.deviation, -FAR, FAR).mean(2)
    features = jnp.concatenate([z, z**2], axis=-1)
    if weight is None:
        return features.mean((0, 1))
    weight = weight / jnp.maximum(weight.sum(), 1e-12)
    return (weight[..., None] * features).sum((0, 1))
