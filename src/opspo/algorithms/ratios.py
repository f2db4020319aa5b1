"""Which ratios count, by the names that they have in the config."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.estimators.ratios import (
    mean_log_ratio,
    others_log_ratio,
    preceding_log_ratio,
    product_log_ratio,
)
from opspo.update.algorithm import Counted
from opspo.update.step import ActionRatio

COUNTED: dict[str, Counted] = {
    "others": lambda log_ratios, agents, rank: others_log_ratio(log_ratios, agents),
    "preceding": preceding_log_ratio,
    "all": lambda log_ratios, agents, rank: jnp.broadcast_to(
        log_ratios.sum(axis=-1, keepdims=True), (*log_ratios.shape[:-1], agents.shape[0])
    ),
}
"""Whose"""

ACTION_RATIOS: dict[str, ActionRatio] = {
    "product": product_log_ratio,
    "mean": mean_log_ratio,
}
"""Of an action of several dimensions, as the objective takes it"""
