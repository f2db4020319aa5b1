"""The learned density ratios, put together from the config."""

from __future__ import annotations

from typing import Any

from opspo.algorithms.setting import Setting
from opspo.config import AlgorithmConfig
from opspo.update.density_ratio import DensityRatioTrainer, KernelTrainer, MinimaxTrainer
from opspo.update.history import History
from opspo.update.learned_weight import LearnedWeight
from opspo.update.linear_weight import (
    CriticFeatures,
    Features,
    FourierFeatures,
    LinearWeight,
)
from opspo.update.state_weights import StateWeight


def _discount(config: AlgorithmConfig) -> float:
    """γ of the estimating equation: 1 is the stationary form (erratum E11)."""
    return config.gamma if config.density.equation == "discounted" else 1.0


def linear(config: AlgorithmConfig, setting: Setting) -> StateWeight:
    """One linear solve for each agent."""
    features: dict[str, Features] = {
        "critic": CriticFeatures(setting.critic, setting.chunk_length),
        "fourier": FourierFeatures(setting.critic.input_size, config.density.num_features),
    }
    return LinearWeight(
        features[config.density.features],
        _discount(config),
        ridge=config.density.ridge,
        size=config.density.num_features,
    )


def _trainer_numbers(config: AlgorithmConfig) -> dict[str, Any]:
    density = config.density
    return {
        "hidden_sizes": density.hidden_sizes,
        "learning_rate": density.learning_rate,
        "outer_steps": density.outer_steps,
        "batch_size": density.batch_size,
        "gamma": _discount(config),
    }


def minimax(config: AlgorithmConfig, setting: Setting) -> StateWeight:
    """Trained against a second network."""
    density, numbers = config.density, _trainer_numbers(config)
    trainer = MinimaxTrainer(
        **numbers,
        inner_steps=density.inner_steps,
        test_pace=density.test_pace,
        printed=density.printed,
    )
    return _learned(trainer, config, setting)


def kernel(config: AlgorithmConfig, setting: Setting) -> StateWeight:
    """Trained against a Gaussian kernel, as wide as standardised states are apart."""
    bandwidth = (2 * setting.critic.input_size) ** 0.5
    return _learned(KernelTrainer(**_trainer_numbers(config), bandwidth=bandwidth), config, setting)


def _learned(
    trainer: DensityRatioTrainer, config: AlgorithmConfig, setting: Setting
) -> StateWeight:
    density, team = config.density, setting.team
    history = History(
        team=team,
        slots=density.iterations,
        sequences=-(-density.samples // setting.chunk_length),
        chunk_length=setting.chunk_length,
        discount=_discount(config),
    )
    return LearnedWeight(
        trainer=trainer,
        history=history,
        num_agents=team.num_members,
        state_size=setting.critic.input_size,
        warm_start=density.warm_start,
    )
