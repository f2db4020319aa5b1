"""The ways to the state weight ω (SDC), by the names that they have in the config."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from opspo.algorithms.density import kernel, linear, minimax
from opspo.algorithms.setting import Setting
from opspo.config import AlgorithmConfig
from opspo.estimators.state_weights import stepwise_wis
from opspo.types import Array
from opspo.update.state_weights import Formula, StateWeight


def _formula(
    formula: Callable[[Array, Array], Array],
) -> Callable[[AlgorithmConfig, Setting], StateWeight]:
    return lambda config, setting: Formula(formula)


STATE_WEIGHTS: dict[str, Callable[[AlgorithmConfig, Setting], StateWeight]] = {
    "none": _formula(lambda log_ratio, first: jnp.ones_like(log_ratio)),
    "stepwise": _formula(stepwise_wis),
    "stepwise_inclusive": _formula(partial(stepwise_wis, inclusive=True)),
    "stepwise_printed": _formula(partial(stepwise_wis, inclusive=True, normaliser="sum")),
    "linear": linear,
    "kernel": kernel,
    "minimax": minimax,
}


def make_state_weight(config: AlgorithmConfig, setting: Setting) -> StateWeight:
    """The one that the config names."""
    return STATE_WEIGHTS[config.state_weight](config, setting)
