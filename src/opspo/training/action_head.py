"""The head of the critic for action values: q(s, a) = Σ_j f_j(s) · z_j, trained along with a run.

f is linear in the critic's last hidden layer. z is the action less its mean under the policies π
that an update begins with (`distributions.Distribution.centred`). So q has mean 0 under π in every
state, and its mean under other policies is known in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from opspo.estimators.normalise import mean_and_deviation
from opspo.estimators.traces import td_error
from opspo.policies.networks import Networks
from opspo.rollout.chunks import from_chunks
from opspo.types import ActionValues, Array, Batch, Params, ValueStatistics
from opspo.update.moved import outputs


@struct.dataclass
class HeadState:
    """What the head has learned."""

    kernel: Array
    """[p, N, Z]"""
    bias: Array
    """[N, Z]"""
    optimiser: optax.OptState


@dataclass(frozen=True)
class ActionHead:
    """The head of a run's critic."""

    networks: Networks
    learning_rate: float
    steps: int
    """Gradient steps on each batch"""
    gamma: float
    least_deviation: float
    """Lower bound on the deviation of the critic's unit, which is the head's too"""

    @property
    def _adam(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, actor: Params, critic: Params) -> HeadState:
        """A head with q = 0; only the parameters' shapes matter."""
        features, action = jax.eval_shape(self._example, actor, critic)
        members, size = action.shape[-2:]
        head = jnp.zeros((features.shape[-1], members, size)), jnp.zeros((members, size))
        return HeadState(*head, self._adam.init(head))

    def _example(self, actor: Params, critic: Params) -> tuple[Array, Array]:
        """The features and the centred actions of a step, for their shapes."""
        team, values = self.networks.team, self.networks.critic
        first = jnp.ones((1, 1), bool)
        seen = jnp.zeros((1, 1, values.num_members, values.input_size))
        features = values.features(critic, seen, values.initial_memory(1), first)
        seen = jnp.zeros((1, 1, team.num_members, team.input_size))
        output, _ = team.unroll(actor, seen, team.initial_memory(1), first)
        return features, team.distribution.centred_mean(output, output, None)

    def values(
        self, state: HeadState, actor: Params, batch: Batch, statistics: ValueStatistics
    ) -> ActionValues:
        """The action values along a batch.

        Args:
            state: of the head.
            actor: the policies that the update begins with.
            batch: with the critic's features.
            statistics: the critic's unit.
        """
        assert batch.features is not None
        trajectory, team = batch.trajectory, self.networks.team
        agents = jnp.arange(team.num_members)
        output = outputs(self.networks, actor, trajectory, agents)
        output = from_chunks(output, trajectory.reward.shape[1])
        action = team.distribution.centred(output, trajectory.action, trajectory.available_actions)
        own = team.own_dimensions(agents)
        if own is not None:
            own = jnp.repeat(own, action.shape[-1] // own.shape[-1], axis=-1)
            action = jnp.where(own, action, 0)
        slope = self._slope((state.kernel, state.bias), batch.features, self._unit(statistics))
        slope = jnp.where(trajectory.alive[..., None], slope, 0)
        return ActionValues(slope, action, output)

    def fit(
        self,
        state: HeadState,
        batch: Batch,
        statistics: ValueStatistics,
    ) -> tuple[HeadState, dict[str, Array]]:
        """Train the head on a batch.

        The loss is the mean square of δ − q in the critic's unit, with the TD error δ: it has the
        mean Q − V where V is the value, and far less noise than a longer trace.

        Args:
            state: of the head.
            batch: with features and action values.
            statistics: the critic's unit.

        Returns:
            The new state, and `action_values_explained`: 1 − E(δ − q)² / E δ² of the head before
            the steps, so on data that it has not seen.
        """
        values, features = batch.action_values, batch.features
        assert values is not None and features is not None
        alive, reward = batch.trajectory.alive[..., None], batch.trajectory.reward[..., None]
        error = td_error(reward, batch.value, batch.next_value, gamma=self.gamma)[..., 0]
        error = error / self._unit(statistics)

        def loss(head: tuple[Array, Array]) -> Array:
            slope = jnp.where(alive, self._slope(head, features, jnp.ones(())), 0)
            q = (slope * values.action).sum((-2, -1))
            return jnp.square(error - q).mean()

        def step(now: Any, _: None) -> tuple[Any, Array]:
            head, optimiser = now
            off, grad = jax.value_and_grad(loss)(head)
            change, optimiser = self._adam.update(grad, optimiser, head)
            return (optax.apply_updates(head, change), optimiser), off

        start = (state.kernel, state.bias), state.optimiser
        (head, optimiser), off = jax.lax.scan(step, start, None, length=self.steps)
        whole = jnp.square(error).mean()
        explained = 1 - off[0] / jnp.maximum(whole, jnp.finfo(whole.dtype).tiny)
        return HeadState(*head, optimiser), {"action_values_explained": explained}

    def _unit(self, statistics: ValueStatistics) -> Array:
        return mean_and_deviation(statistics, epsilon=self.least_deviation)[1]

    def _slope(self, head: tuple[Array, Array], features: Array, unit: Array) -> Array:
        """f [T, E, N, Z] from the features [T, E, 1, p]."""
        kernel, bias = head
        return unit * (jnp.einsum("tep,pnz->tenz", features[:, :, 0], kernel) + bias[None, None])
