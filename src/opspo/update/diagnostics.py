"""What a stage says about itself."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.estimators.normalise import masked_mean
from opspo.estimators.ratios import effective_sample_size, kl_from_log_ratio
from opspo.types import Array, Correction, StageData


def diagnose(
    data: StageData, correction: Correction, own_log_ratio: Array, mask: Array
) -> dict[str, Array]:
    """How far off-policy a stage's data were, and how far its agents moved.

    Args:
        data: at the start of the stage.
        correction: what was made of it.
        own_log_ratio: [T, E, K] of the stage's agents after it.
        mask: [T, E, K] bool, alive and under update.
    """
    return {
        "others_log_ratio_abs": masked_mean(jnp.abs(data.log_ratio), mask),
        "others_ratio_ess": effective_sample_size(data.log_ratio, mask),
        "state_weight_ess": effective_sample_size(jnp.log(correction.state_weight), mask),
        "weight_mean": masked_mean(correction.weight, mask),
        "kl": masked_mean(kl_from_log_ratio(own_log_ratio), mask),
    }
