"""The errors, and the quantities in their bounds, for one update and one pair of estimates."""

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
    """The errors of the surrogates, and the quantities that their bounds depend on."""

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
    """[n] max_s TV(π^i, π̄^i) · span over a^i of A^{π̂^{i−1}}, averaged over the team-mates"""
    error_swing: Array
    """[n] the same for A_est − A^{π̂^{i−1}}"""
    corrected_error: Array
    """[n] error of `surrogates.corrected_gain` for each agent"""
    centred_error: Array
    """[n] error of `surrogates.centred_gain` for each agent"""
    joint_error: Array
    """[] error of the sum of `surrogates.corrected_gain`"""
    mappo_error: Array
    """[] error of the sum of `surrogates.mappo_gain`"""
    happo_error: Array
    """[] error of the sum of `surrogates.happo_gain`"""
    a2po_error: Array
    """[] error of the sum of `surrogates.a2po_gain`"""


def facts(sequence: Sequence, estimate: Estimate, *, gamma: Scalar) -> Facts:
    """Compute all facts from the exact solution of an update and one pair of estimates."""
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
