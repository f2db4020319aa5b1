"""The numbers that errors and bounds are made of, for one update and one pair of estimates."""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct

from opspo.theory import surrogates
from opspo.theory.estimates import Estimate
from opspo.theory.sequence import Sequence, own_span, total_variation
from opspo.theory.tabular import Scalar
from opspo.types import Array


@struct.dataclass
class Facts:
    """Errors of the surrogates, and what the bounds on them are functions of."""

    gamma: Scalar
    alpha: Array
    """[n] α^i = max_s TV(π^i, π̄^i)"""
    mean_distance: Array
    """[n] E_{s∼d^{π̂^{i−1}}} TV(π^i, π̄^i)"""
    epsilon: Array
    """[n] ε^i = max |A^{π̂^{i−1}}|"""
    delta: Array
    """[n] δ^i = Σ_s |d_est(s) − d^{π̂^{i−1}}(s)|"""
    xi: Array
    """[n] ξ^i = max |A_est − A^{π̂^{i−1}}|"""
    swing: Array
    """[n] max_s of TV(π^i, π̄^i) times the span of A^{π̂^{i−1}} over a^i, team-mates averaged out"""
    error_swing: Array
    """[n] the same of A_est − A^{π̂^{i−1}}"""
    corrected_error: Array
    """[n] of `surrogates.corrected_gain`, agent by agent"""
    centred_error: Array
    """[n] of `surrogates.centred_gain`, agent by agent"""
    joint_error: Array
    """[] of the sum of `surrogates.corrected_gain`"""
    mappo_error: Array
    """[] of the sum of `surrogates.mappo_gain`"""
    happo_error: Array
    """[] of the sum of `surrogates.happo_gain`"""
    a2po_error: Array
    """[] of the sum of `surrogates.a2po_gain`"""


def facts(sequence: Sequence, estimate: Estimate, *, gamma: Scalar) -> Facts:
    """All of it from exact solutions."""
    distance = total_variation(sequence)
    true, before = sequence.advantage[:-1], sequence.distribution[:-1]
    off = estimate.advantage - true
    corrected = surrogates.corrected_gain(sequence, estimate, gamma=gamma)
    centred = surrogates.centred_gain(sequence, estimate, gamma=gamma)
    a2po = surrogates.a2po_gain(sequence, estimate, gamma=gamma)
    return Facts(
        gamma=gamma,
        alpha=distance.max(axis=-1),
        mean_distance=(before * distance).sum(axis=-1),
        epsilon=jnp.abs(true).max(axis=(-2, -1)),
        delta=jnp.abs(estimate.distribution - before).sum(axis=-1),
        xi=jnp.abs(off).max(axis=(-2, -1)),
        swing=(distance * own_span(sequence, true)).max(axis=-1),
        error_swing=(distance * own_span(sequence, off)).max(axis=-1),
        corrected_error=surrogates.errors(sequence, corrected),
        centred_error=surrogates.errors(sequence, centred),
        joint_error=surrogates.joint_error(sequence, corrected),
        mappo_error=surrogates.joint_error(sequence, surrogates.mappo_gain(sequence, gamma=gamma)),
        happo_error=surrogates.joint_error(sequence, surrogates.happo_gain(sequence, gamma=gamma)),
        a2po_error=surrogates.joint_error(sequence, a2po),
    )
