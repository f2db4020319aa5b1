"""The methods for the state weight ω (SDC); the setting `state_weight` names a function here.

Each function makes a `StateWeight` for a run. Its parameters name what it needs: numbers of the
declaration, including `density`, and the run's `networks`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax.numpy as jnp

from opspo.algorithms import DensityConfig
from opspo.estimators.stepwise import stepwise_wis
from opspo.policies.networks import Networks
from opspo.state_weights.density_networks import DensityNetworks
from opspo.state_weights.history import History
from opspo.state_weights.linear_solve import (
    CriticFeatures,
    Features,
    FourierFeatures,
    LinearSolve,
)
from opspo.state_weights.protocol import Formula, StateWeight
from opspo.state_weights.trainers import DensityRatioTrainer, KernelTrainer, MinimaxTrainer

__all__ = [
    "Formula",
    "StateWeight",
    "kernel",
    "linear",
    "minimax",
    "none",
    "stepwise",
    "stepwise_inclusive",
    "stepwise_printed",
]


def none() -> StateWeight:
    """ω = 1: no correction of the state distribution."""
    return Formula(lambda log_ratio, first: jnp.ones_like(log_ratio))


def stepwise() -> StateWeight:
    """Step-wise importance sampling over the episode's earlier actions, with mean 1."""
    return Formula(stepwise_wis)


def stepwise_inclusive() -> StateWeight:
    """The same over earlier and current actions (erratum E6)."""
    return Formula(partial(stepwise_wis, inclusive=True))


def stepwise_printed() -> StateWeight:
    """Section 3.2 as printed: over earlier and current actions, with sum 1 (erratum E6)."""
    return Formula(partial(stepwise_wis, inclusive=True, normaliser="sum"))


def linear(*, gamma: float, density: DensityConfig, networks: Networks) -> StateWeight:
    """The density ratio by one linear solve per agent."""
    size = networks.critic.input_size
    features: dict[str, Features] = {
        "critic": CriticFeatures(networks.critic, networks.chunk_length),
        "fourier": FourierFeatures(size, density.num_features),
    }
    return LinearSolve(
        features[density.features],
        _discount(gamma, density),
        ridge=density.ridge,
        size=density.num_features,
    )


def minimax(*, gamma: float, density: DensityConfig, networks: Networks) -> StateWeight:
    """The density ratio by networks, each trained against a second network (Algorithm 2)."""
    trainer = MinimaxTrainer(
        **_numbers(gamma, density),
        inner_steps=density.inner_steps,
        test_pace=density.test_pace,
        printed=density.printed,
    )
    return _trained(trainer, gamma, density, networks)


def kernel(*, gamma: float, density: DensityConfig, networks: Networks) -> StateWeight:
    """The density ratio by networks trained against a Gaussian kernel.

    The bandwidth is the root mean square distance between two standardised states, √(2 s).
    """
    bandwidth = (2 * networks.critic.input_size) ** 0.5
    trainer = KernelTrainer(**_numbers(gamma, density), bandwidth=bandwidth)
    return _trained(trainer, gamma, density, networks)


def _discount(gamma: float, density: DensityConfig) -> float:
    """γ of the estimating equation; 1 for the stationary form (erratum E11)."""
    return gamma if density.equation == "discounted" else 1.0


def _numbers(gamma: float, density: DensityConfig) -> dict[str, Any]:
    return {
        "hidden_sizes": density.hidden_sizes,
        "learning_rate": density.learning_rate,
        "outer_steps": density.outer_steps,
        "batch_size": density.batch_size,
        "gamma": _discount(gamma, density),
    }


def _trained(
    trainer: DensityRatioTrainer, gamma: float, density: DensityConfig, networks: Networks
) -> StateWeight:
    history = History(
        team=networks.team,
        slots=density.iterations,
        sequences=-(-density.samples // networks.chunk_length),
        chunk_length=networks.chunk_length,
        discount=_discount(gamma, density),
    )
    return DensityNetworks(
        trainer=trainer,
        history=history,
        num_agents=networks.team.num_members,
        state_size=networks.critic.input_size,
        warm_start=density.warm_start,
    )
