"""Diagnostics from ratios of probabilities between policies: how off-policy the data are."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.estimators.normalise import masked_sums
from opspo.types import Array


def effective_sample_size(log_weight: Array, mask: Array) -> Array:
    """(Σ w)² / (n Σ w²) [] over the samples in the mask, in (0, 1]; 1 if all weights are equal.

    Args:
        log_weight: log w, any shape; only differences matter, so no weight overflows.
        mask: bool, of the same shape.
    """
    log_weight = jnp.where(mask, log_weight, -jnp.inf)
    largest = log_weight.max()
    weight = jnp.exp(log_weight - jnp.where(largest == -jnp.inf, 0, largest))
    total, squares, count = masked_sums([weight, weight**2], mask)
    squares = jnp.maximum(squares, jnp.finfo(weight.dtype).tiny)
    return total**2 / (jnp.maximum(count, 1) * squares)


def kl_from_log_ratio(log_ratio: Array) -> Array:
    """Per-sample estimate of KL(π ‖ π̄) from actions of π: r − 1 − log r, in nats, any shape.

    It is never negative, and unbiased if r is the ratio of the whole action, the product over its
    dimensions (Schulman 2020, "Approximating KL divergence").
    """
    return jnp.expm1(log_ratio) - log_ratio
