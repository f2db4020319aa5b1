"""The ways to the state weight ω, by the names that they have in the config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp

from opspo.config import AlgorithmConfig
from opspo.estimators.state_weights import stepwise_wis
from opspo.policies.team import Critic, Team
from opspo.update.density_ratio import DensityRatioTrainer, KernelTrainer, MinimaxTrainer
from opspo.update.history import History
from opspo.update.learned_weight import LearnedWeight
from opspo.update.linear_weight import (
    CriticFeatures,
    Features,
    FourierFeatures,
    LinearWeight,
)
from opspo.update.state_weights import Formula, StateWeight


@dataclass(frozen=True)
class Setting:
    """What an algorithm is put together for."""

    team: Team
    critic: Critic
    chunk_length: int


def _discount(config: AlgorithmConfig) -> float:
    """γ of the estimating equation: 1 is the stationary form (erratum E11)."""
    return config.gamma if config.density.equation == "discounted" else 1.0


def _linear(config: AlgorithmConfig, setting: Setting) -> StateWeight:
    features: dict[str, Features] = {
        "critic": CriticFeatures(setting.critic, setting.chunk_length),
        "fourier": FourierFeatures(setting.critic.input_size, config.density.num_features),
    }
    return LinearWeight(
        features[config.density.features], _discount(config), ridge=config.density.ridge
    )


def _learned(
    trainer: Callable[[AlgorithmConfig, dict[str, Any]], DensityRatioTrainer],
) -> Callable[[AlgorithmConfig, Setting], StateWeight]:
    def make(config: AlgorithmConfig, setting: Setting) -> StateWeight:
        density, team = config.density, setting.team
        numbers = {
            "hidden_sizes": density.hidden_sizes,
            "learning_rate": density.learning_rate,
            "outer_steps": density.outer_steps,
            "batch_size": density.batch_size,
            "gamma": _discount(config),
        }
        history = History(
            team=team,
            slots=density.iterations,
            sequences=-(-density.samples // setting.chunk_length),
            chunk_length=setting.chunk_length,
            discount=_discount(config),
        )
        return LearnedWeight(
            trainer=trainer(config, numbers),
            history=history,
            num_agents=team.num_members,
            state_size=setting.critic.input_size,
            warm_start=density.warm_start,
        )

    return make


def _minimax(config: AlgorithmConfig, numbers: dict[str, Any]) -> DensityRatioTrainer:
    density = config.density
    return MinimaxTrainer(**numbers, inner_steps=density.inner_steps, printed=density.printed)


def _formula(formula: Callable) -> Callable[[AlgorithmConfig, Setting], StateWeight]:
    return lambda config, setting: Formula(formula)


STATE_WEIGHTS: dict[str, Callable[[AlgorithmConfig, Setting], StateWeight]] = {
    "none": _formula(lambda log_ratio, first: jnp.ones_like(log_ratio)),
    "stepwise": _formula(stepwise_wis),
    "stepwise_inclusive": _formula(partial(stepwise_wis, inclusive=True)),
    "stepwise_printed": _formula(partial(stepwise_wis, inclusive=True, normaliser="sum")),
    "linear": _linear,
    # the bandwidth is the typical distance of states that are standardised
    "kernel": _learned(lambda config, numbers: KernelTrainer(**numbers, bandwidth=1.0)),
    "minimax": _learned(_minimax),
}


def make_state_weight(config: AlgorithmConfig, setting: Setting) -> StateWeight:
    """The one that the config names."""
    return STATE_WEIGHTS[config.state_weight](config, setting)
