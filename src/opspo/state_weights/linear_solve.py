"""ω by one linear solve per agent: nothing is trained, so it is cheap enough for every stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.density_ratio import positive_mean_one
from opspo.estimators.linear_weight import (
    Equation,
    draw_frequencies,
    fourier_features,
    linear_equation,
    linear_omega,
    solve_equation,
)
from opspo.policies.team import Critic
from opspo.rollout.values import features_along
from opspo.state_weights.transitions import successor, transitions
from opspo.types import Array, Batch, Params, StageData


@dataclass(frozen=True)
class CriticFeatures:
    """The critic's last hidden layer, as features of the state."""

    critic: Critic
    chunk_length: int

    def init(self, key: Array) -> Any:
        """Nothing needs to be drawn or kept."""
        del key
        return ()

    def __call__(self, kept: Any, batch: Batch, critic: Params) -> Array:
        """The features of the batch's states: [T, E, p]."""
        del kept
        return features_along(
            self.critic,
            critic,
            batch.critic_memory,
            batch.trajectory,
            chunk_length=self.chunk_length,
        )[:, :, 0]


@dataclass(frozen=True)
class FourierFeatures:
    """Random Fourier features of the state, standardised over the batch."""

    state_size: int
    count: int

    def init(self, key: Array) -> Any:
        """Draw the frequencies and phases, which are kept for the whole run."""
        return draw_frequencies(key, self.state_size, self.count, bandwidth=self.state_size**0.5)

    def __call__(self, kept: Any, batch: Batch, critic: Params) -> Array:
        """The features of the batch's states: [T, E, p]."""
        del critic
        state = batch.trajectory.state[:, :, 0]
        state = (state - state.mean((0, 1))) / (state.std((0, 1)) + 1e-3)
        return fourier_features(state, *kept)


Features = CriticFeatures | FourierFeatures


@struct.dataclass
class Working:
    """What the stages of one update share."""

    kept: Any
    features: Array
    """[S, p], S = T · E"""
    weight: Array
    """[S]"""
    equation: Equation


@dataclass(frozen=True)
class LinearSolve:
    """The density ratio as 1 + φᵀα, solved before each stage."""

    features: Features
    discount: float
    """γ of the discounted equation; 1 for the stationary one"""
    ridge: float
    size: int
    """Number of white features in the solve, those with the largest variance"""

    def init(self, key: Array, example: Batch, actor: Params) -> Any:
        """What the features keep."""
        del example, actor
        return self.features.init(key)

    def begin(self, kept: Any, batch: Batch, actor: Params, critic: Params, key: Array) -> Any:
        """Compute the parts of the equation that do not depend on how far the agents move."""
        del actor, key
        features = self.features(kept, batch, critic)
        after, flat = successor(features), (-1, features.shape[-1])
        steps = jax.tree.map(jnp.ravel, transitions(batch.trajectory, discount=self.discount))
        # the stationary form has no term with the initial states
        initial = (features.reshape(flat), steps.initial_weight) if self.discount < 1 else ()
        equation = linear_equation(
            features.reshape(flat),
            after.reshape(flat),
            steps.weight,
            steps.continues,
            *initial,
            gamma=self.discount,
            size=self.size,
        )
        return Working(kept, features.reshape(flat), steps.weight, equation)

    def weigh(
        self, working: Any, batch: Batch, data: StageData, stage: Array, key: Array
    ) -> tuple[Array, Any]:
        """Solve for each agent of the stage: ω [T, E, K]."""
        del batch, stage, key
        ratio = jnp.exp(data.density_log_ratio).reshape(-1, data.log_ratio.shape[-1])
        coefficients = solve_equation(working.equation, ratio, ridge=self.ridge)
        omega = linear_omega(working.features, coefficients)
        omega = positive_mean_one(omega, working.weight)
        return omega.reshape(data.log_ratio.shape), working

    def moved(self, working: Any, actor: Params, agents: Array) -> Any:
        """Nothing to do: the next stage's data have the new ratios."""
        del actor, agents
        return working

    def end(self, working: Any) -> Any:
        """What the features keep."""
        return working.kept
