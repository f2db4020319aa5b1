"""Training a network for the state weight (Algorithm 2): minimax, or against a kernel."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import struct

from opspo.estimators.density_ratio import (
    Pair,
    arrival_masses,
    kernel_objective,
    minimax_objective,
    residual_masses,
    shares,
)
from opspo.estimators.products import product
from opspo.policies.dense import Dense
from opspo.types import Array, Params

OPTIMISER = optax.scale_by_adam(b1=0.0)
"""Without momentum, which in a game keeps pushing towards where the opponent used to be"""


@struct.dataclass
class Samples:
    """Steps of one or more behaviour policies; `estimators.density_ratio` defines the terms."""

    state: Array
    """[S, d] s"""
    successor: Array
    """[S, d] s'"""
    ratio: Array
    """[S] ρ"""
    weight: Array
    """[S] γ^t or 1; 0 leaves the sample out"""
    continues: Array
    """[S] 0 where nothing follows, else 1"""
    initial: Array
    """[S0, d] s0"""
    initial_weight: Array
    """[S0] 0 leaves the state out"""


@struct.dataclass
class RatioState:
    """Networks and optimisers between two fits."""

    omega: Params
    omega_optimiser: optax.OptState
    test: Params
    """Parameters of f; empty if there is none"""
    test_optimiser: optax.OptState


class Perceptron(nn.Module):
    """Hidden tanh layers and one linear output: [..., d] → [...].

    There is no layer norm, which would remove the scale of the state's features.
    """

    hidden_sizes: tuple[int, ...]
    output_init: Any = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[..., d] → [...]."""
        shape = x.shape[:-1]
        # the time axis stays separate: the other axes may be divided over devices
        x = x.reshape(*(shape[:1] if len(shape) > 1 else (1,)), -1, x.shape[-1])
        for size in self.hidden_sizes:
            x = nn.tanh(Dense(size, nn.initializers.lecun_normal())(x))
        return Dense(1, self.output_init)(x).reshape(shape)


@dataclass(frozen=True)
class DensityRatioTrainer(ABC):
    """What both trainers share: ω = softplus(network), which is 1 everywhere at first.

    A round draws a minibatch of `batch_size` samples and as many initial states, with probabilities
    proportional to their weights, and then calls the subclass's `_round`. The objective uses ω
    scaled to mean 1 over the minibatch (erratum E5), so the network's own scale is undetermined:
    `positive_mean_one` sets it for the samples at hand.
    """

    hidden_sizes: tuple[int, ...]
    learning_rate: float
    outer_steps: int
    """ω_e, the number of rounds in a fit"""
    batch_size: int
    gamma: float
    """γ, with weights γ^t; 1 for the stationary form"""

    def init(self, key: Array, state_size: int) -> RatioState:
        """Fresh networks for states [..., state_size]."""
        omega_key, test_key = jax.random.split(key)
        omega = self._omega.init(omega_key, jnp.zeros(state_size))
        test = self._init_test(test_key, state_size)
        return RatioState(omega, OPTIMISER.init(omega), test, OPTIMISER.init(test))

    def weight(self, ratio_state: RatioState, state: Array) -> Array:
        """ω of states [..., d], up to a constant factor: [...]."""
        return self._weight(ratio_state.omega, state)

    def fit(self, ratio_state: RatioState, samples: Samples, key: Array) -> RatioState:
        """Train for `outer_steps` rounds on the samples, continuing from `ratio_state`."""
        samples = jax.tree.map(jnp.asarray, samples)
        steps = jnp.cumsum(shares(samples.weight))
        starts = jnp.cumsum(shares(samples.initial_weight))

        def round_(now: RatioState, key: Array) -> tuple[RatioState, None]:
            step_key, start_key = jax.random.split(key)
            chosen = draw_indices(step_key, steps, self.batch_size)
            initial = samples.initial[draw_indices(start_key, starts, self.batch_size)]
            ones = jnp.ones(self.batch_size, samples.weight.dtype)
            batch = samples.replace(  # type: ignore[attr-defined]
                state=samples.state[chosen],
                successor=samples.successor[chosen],
                ratio=samples.ratio[chosen],
                continues=samples.continues[chosen],
                initial=initial,
                weight=ones,
                initial_weight=ones * (starts[-1] > 0),
            )
            return self._round(now, batch), None

        return jax.lax.scan(round_, ratio_state, jax.random.split(key, self.outer_steps))[0]

    @property
    def _omega(self) -> Perceptron:
        return Perceptron(self.hidden_sizes, nn.initializers.zeros)

    def _weight(self, omega: Params, state: Array) -> Array:
        # softplus(log(e − 1)) = 1
        return jax.nn.softplus(_apply(self._omega, omega, state) + math.log(math.expm1(1)))

    def _masses(self, omega: Params, batch: Samples) -> Pair:
        here = self._weight(omega, batch.state)
        mean = product(shares(batch.weight), here)
        successor, initial = (self._weight(omega, x) for x in (batch.successor, batch.initial))
        return residual_masses(
            here / mean,
            successor / mean,
            initial / mean,
            batch.ratio,
            batch.weight,
            batch.continues,
            batch.initial_weight,
            gamma=self.gamma,
        )

    def _init_test(self, key: Array, state_size: int) -> Params:
        return {}

    @abstractmethod
    def _round(self, now: RatioState, batch: Samples) -> RatioState: ...


@dataclass(frozen=True)
class MinimaxTrainer(DensityRatioTrainer):
    """Training against a second network f (Algorithm 2).

    The paper does not say clearly when θ moves (erratum E12). Here one round is `inner_steps` steps
    of ψ up the objective, then one step of θ down.
    """

    inner_steps: int
    """f_e"""
    test_pace: float = 10.0
    """Learning rate of f over that of ω; at equal rates the two chase each other in circles"""
    printed: bool = False
    """Use Eq. 33's sum of squares, whose minimum is not at the true ratio"""

    def _init_test(self, key: Array, state_size: int) -> Params:
        return self._test.init(key, jnp.zeros(state_size))

    @property
    def _test(self) -> Perceptron:
        return Perceptron(self.hidden_sizes)

    def _round(self, now: RatioState, batch: Samples) -> RatioState:
        arrival = arrival_masses(
            batch.weight, batch.continues, batch.initial_weight, gamma=self.gamma
        )

        def objective(mass: Pair, test: Params) -> Array:
            f = _apply(self._test, test, batch.successor), _apply(self._test, test, batch.initial)
            return minimax_objective(mass, arrival, f, printed=self.printed)

        mass = self._masses(now.omega, batch)

        def inner(carry: tuple[Params, Any], _: None) -> tuple[tuple[Params, Any], None]:
            test, state = carry
            grad = jax.grad(lambda test: -objective(mass, test))(test)
            return _descend(test, state, grad, self.test_pace * self.learning_rate), None

        (test, test_state), _ = jax.lax.scan(
            inner, (now.test, now.test_optimiser), length=self.inner_steps
        )
        grad = jax.grad(lambda omega: objective(self._masses(omega, batch), test))(now.omega)
        omega, omega_state = _descend(now.omega, now.omega_optimiser, grad, self.learning_rate)
        return RatioState(omega, omega_state, test, test_state)


@dataclass(frozen=True)
class KernelTrainer(DensityRatioTrainer):
    """Training against the unit ball of a Gaussian kernel's space, with the maximum over f in
    closed form."""

    bandwidth: float

    def _round(self, now: RatioState, batch: Samples) -> RatioState:
        def objective(omega: Params) -> Array:
            points = batch.successor, batch.initial
            mass = self._masses(omega, batch)
            return kernel_objective(mass, points, bandwidth=self.bandwidth)

        grad = jax.grad(objective)(now.omega)
        omega, state = _descend(now.omega, now.omega_optimiser, grad, self.learning_rate)
        return RatioState(omega, state, now.test, now.test_optimiser)


def _apply(network: nn.Module, params: Params, x: Array) -> Array:
    return cast(Array, network.apply(params, x))


def _descend(
    params: Params, state: optax.OptState, grad: Params, rate: float
) -> tuple[Params, optax.OptState]:
    change, state = OPTIMISER.update(grad, state, params)
    change = jax.tree.map(lambda x: -rate * x, change)
    return optax.apply_updates(params, change), state


def draw_indices(key: Array, cumulative: Array, count: int) -> Array:
    """Draw indices [count], with probabilities given by their cumulative sums [S]."""
    # in (0, total]: 0 could select an index with probability 0
    choice = cumulative[-1] * (1 - jax.random.uniform(key, (count,), cumulative.dtype))
    return jnp.searchsorted(cumulative, choice)
