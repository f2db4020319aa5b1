"""ω by networks, one for each position in the order, trained on recent iterations (Algorithm 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.density_ratio import positive_mean_one
from opspo.state_weights.history import History, Ring
from opspo.state_weights.trainers import DensityRatioTrainer, RatioState
from opspo.state_weights.transitions import transitions
from opspo.types import Array, Batch, Params, StageData


@struct.dataclass
class Kept:
    """What is kept from one iteration to the next."""

    ring: Ring
    networks: RatioState
    """Stacked [N], by position in the order"""


@struct.dataclass
class Working:
    """What the stages of one update share."""

    kept: Kept
    mean: Array
    """[s] with `deviation`, the unit of the networks' inputs"""
    deviation: Array
    """[s]"""
    first: Array
    """[T, E] the ratio at the first stage, that of the policies that collected the batch"""


@dataclass(frozen=True)
class DensityNetworks:
    """The density ratio of the current policies to those that collected the batch.

    The networks learn ratios to the mixture of all policies in the ring. The batch comes only from
    the latest policies, whose ratio to the mixture is the one at the first stage. So ω at a later
    stage is its ratio divided by that, and the first agent's is 1, as it should be.
    """

    trainer: DensityRatioTrainer
    history: History
    num_agents: int
    state_size: int
    warm_start: bool

    def init(self, key: Array, example: Batch, actor: Params) -> Any:
        """An empty ring and fresh networks."""
        sample = jax.eval_shape(self.history.draw, example, key)
        return Kept(self.history.empty(sample, actor), self._networks(key))

    def begin(self, kept: Any, batch: Batch, actor: Params, critic: Params, key: Array) -> Any:
        """Write the batch into the ring."""
        del critic
        draw_key, network_key = jax.random.split(key)
        ring = self.history.write(kept.ring, self.history.draw(batch, draw_key), actor)
        networks = kept.networks if self.warm_start else self._networks(network_key)
        state = batch.trajectory.state[:, :, 0]
        return Working(
            kept=Kept(ring, networks),
            mean=state.mean((0, 1)),
            deviation=state.std((0, 1)) + 1e-3,
            first=jnp.ones_like(batch.trajectory.reward),
        )

    def weigh(
        self, working: Any, batch: Batch, data: StageData, stage: Array, key: Array
    ) -> tuple[Array, Any]:
        """Train the network for this position in the order, and evaluate it: ω [T, E, K]."""

        def scaled(state: Array) -> Array:
            # a feature that hardly varies in this batch may have extreme values in older ones
            return jnp.clip((state - working.mean) / working.deviation, -10, 10)

        kept = working.kept
        samples = self.history.samples(kept.ring)
        samples = samples.replace(  # type: ignore[attr-defined]
            state=scaled(samples.state),
            successor=scaled(samples.successor),
            initial=scaled(samples.initial),
        )
        network = jax.tree.map(lambda x: x[stage], kept.networks)
        network = self.trainer.fit(network, samples, key)
        ratio = self.trainer.weight(network, scaled(batch.trajectory.state[:, :, 0]))
        first = jnp.where(stage == 0, ratio, working.first)
        weight = transitions(batch.trajectory, discount=self.history.discount).weight
        omega = positive_mean_one((ratio / jnp.maximum(first, 1e-3)).ravel(), weight.ravel())
        networks = jax.tree.map(lambda old, new: old.at[stage].set(new), kept.networks, network)
        working = working.replace(kept=kept.replace(networks=networks), first=first)
        return omega.reshape(data.log_ratio.shape), working

    def moved(self, working: Any, actor: Params, agents: Array) -> Any:
        """Update the ring's probabilities under the agents' new policies."""
        ring = self.history.moved(working.kept.ring, actor, agents)
        return working.replace(kept=working.kept.replace(ring=ring))

    def end(self, working: Any) -> Any:
        """Keep the ring and the networks."""
        return working.kept

    def _networks(self, key: Array) -> RatioState:
        keys = jax.random.split(key, self.num_agents)
        return jax.vmap(lambda key: self.trainer.init(key, self.state_size))(keys)
