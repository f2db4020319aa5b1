"""The corrected bound of docs/theory.md, estimated on a batch while training."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.estimators.advantages import gae
from opspo.estimators.normalise import masked_means
from opspo.estimators.stepwise import stepwise_wis
from opspo.theory import bounds
from opspo.types import Array, Correction, StageData


def bound_estimates(
    data: StageData,
    correction: Correction,
    before: Array,
    after: Array,
    mask: Array,
    *,
    gamma: float,
    gae_lambda: float,
) -> dict[str, Array]:
    """Estimates of the quantities in `theory.bounds.corrected`; none of them is a guarantee.

    Means and maxima over the batch stand in for maxima over all states and actions. α is ½ |r̄ − r|,
    whose mean over the actions of π is TV(π^i, π̄^i). ε is the estimated advantage. δ is the mean of
    |ω − 1| with step-wise ω, the error in the states if nothing corrects them. ξ is the change made
    by AEC, |A − A_GAE|, the error in the advantage without it.

    Args:
        data: at the start of a stage.
        correction: of that stage; its advantage is in the unit of the reward.
        before, after: [T, E, K] log-ratio of the stage's agents since collection, for whole
            actions, at the start and at the end of the stage.
        mask: [T, E, K] bool, alive and under update.
        gamma, gae_lambda: γ, λ.

    Returns:
        Scalars [] named `bound_*`; `bound_mean` and `bound_max` are the bound, in the unit of the
        return, computed from the means and from the maxima.
    """
    distance = jnp.abs(jnp.exp(after) - jnp.exp(before)) / 2
    plain = gae(
        data.reward, data.value, data.next_value, data.done, gamma=gamma, gae_lambda=gae_lambda
    )
    omega = stepwise_wis(data.density_log_ratio, data.first[..., 0])
    off = jnp.broadcast_to(jnp.abs(omega - 1), mask.shape)
    terms = {
        "alpha": distance,
        "epsilon": jnp.abs(correction.advantage),
        "xi": jnp.abs(correction.advantage - plain),
    }
    mean = masked_means(terms | {"delta": off}, mask)
    delta = jnp.minimum(mean.pop("delta"), 2.0)  # two distributions differ by at most this
    largest = {name: jnp.where(mask, x, 0.0).max() for name, x in terms.items()}
    largest["alpha"] = jnp.minimum(largest["alpha"], 1.0)  # as for any total variation
    out = {"bound_delta": delta}
    for kind, numbers in (("mean", mean), ("max", largest)):
        out |= {f"bound_{name}_{kind}": number for name, number in numbers.items()}
        out[f"bound_{kind}"] = bounds.corrected(**numbers, delta=delta, gamma=gamma)
    return out
