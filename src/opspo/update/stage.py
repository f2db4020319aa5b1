"""Carrying out a plan: stage after stage of correction and gradient steps, in one scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.normalise import masked_mean, standardise
from opspo.estimators.ratios import (
    effective_sample_size,
    kl_from_log_ratio,
    log_ratio,
    others_log_ratio,
)
from opspo.policies.team import Team
from opspo.types import Array, Correction, Params, StageData, Trajectory
from opspo.update.minibatch import chunk_starts, from_chunks, split, to_chunks
from opspo.update.schedule import Plan
from opspo.update.step import GradientStep, Learners, Sequences, Starts

Metrics = dict[str, Array]


@struct.dataclass
class Batch:
    """One iteration's experience with the critic's view of it."""

    trajectory: Trajectory
    value: Array
    """[T, E, 1] in the reward's unit"""
    next_value: Array
    """[T, E, 1], 0 past a termination"""
    raw_value: Array
    """[T, E, 1] the critic's own output, around which its move is clipped"""
    critic_memory: Array
    """[C, h] at the start of each chunk"""
    learning_rate_scale: Array
    """[] on both step sizes"""
    value_mean: Array
    """[] with `value_deviation`, the unit in which the critic is trained"""
    value_deviation: Array


def _standardise_each(advantage: Array, mask: Array) -> Array:
    return jax.vmap(standardise, in_axes=-1, out_axes=-1)(advantage, mask)


@dataclass(frozen=True)
class Update:
    """The learning half of an iteration."""

    team: Team
    correct: Callable[[StageData], Correction]
    gradient_step: GradientStep
    chunk_length: int
    minibatches: int
    normalise_advantage: bool
    normalise_weight: bool

    def __call__(
        self, learners: Learners, batch: Batch, plan: Plan, key: Array
    ) -> tuple[Learners, Metrics, Metrics]:
        """Carry out the plan.

        Returns:
            The new learners; losses and norms averaged over all gradient steps; and diagnostics
            [positions] of each stage in the last round over the agents.
        """

        def stage(carry: tuple[Learners, Array], now: tuple[Array, Array, Array]) -> Any:
            learners, log_ratios = carry
            agents, active, key = now
            data, correction, sequences, starts = self._prepare(batch, log_ratios, agents, active)
            group, losses = self._descend(
                self._select(learners, agents),
                sequences,
                starts,
                epochs=plan.epochs,
                rate=batch.learning_rate_scale,
                key=key,
            )
            learners = self._replace(learners, agents, group)
            log_ratios = self._measure(learners.actor, batch.trajectory, log_ratios, agents)
            mask = data.alive & active
            diagnostics = self._diagnose(data, correction, log_ratios[..., agents], mask)
            diagnostics["clip_fraction"] = losses.pop("clip_fraction")
            return (learners, log_ratios), (losses, diagnostics)

        keys = jax.random.split(key, plan.agents.shape[0])
        start = (learners, jnp.zeros_like(batch.trajectory.alive, batch.value.dtype))
        (learners, _), (losses, diagnostics) = jax.lax.scan(
            stage, start, (plan.agents, plan.active, keys)
        )
        last_round = jax.tree.map(lambda x: x[-plan.positions :], diagnostics)
        return learners, jax.tree.map(jnp.mean, losses), last_round

    def _prepare(
        self, batch: Batch, log_ratios: Array, agents: Array, active: Array
    ) -> tuple[StageData, Correction, Sequences, Starts]:
        """The data as the group of agents should see them now."""
        trajectory = batch.trajectory
        data = StageData(
            reward=trajectory.reward[..., None],
            value=batch.value,
            next_value=batch.next_value,
            done=trajectory.done[..., None],
            first=trajectory.first[..., None],
            log_ratio=others_log_ratio(log_ratios, agents),
            alive=trajectory.alive[..., agents],
        )
        correction = self.correct(data)
        mask = data.alive & active
        advantage, weight = correction.advantage, correction.weight
        if self.normalise_advantage:
            # as in the loss, separate agents are each on their own
            scale = standardise if self.team.shared else _standardise_each
            advantage = scale(advantage, mask)
        if self.normalise_weight:
            weight = weight / jnp.maximum(masked_mean(weight, mask), 1e-6)

        def normalised(value: Array) -> Array:
            return (value - batch.value_mean) / batch.value_deviation

        available = trajectory.available_actions
        by_time = Sequences(
            observation=trajectory.observation[:, :, agents],
            available_actions=None if available is None else available[:, :, agents],
            action=trajectory.action[:, :, agents],
            log_prob=trajectory.log_prob[:, :, agents],
            mask=mask,
            advantage=advantage,
            weight=weight,
            low=correction.low,
            high=correction.high,
            state=trajectory.state,
            first=trajectory.first,
            value=batch.raw_value,
            value_target=normalised(correction.value_target),
            target_mask=jnp.broadcast_to(active, mask.shape),
        )
        sequences = jax.tree.map(lambda x: to_chunks(x, self.chunk_length), by_time)
        memory = chunk_starts(trajectory.memory, self.chunk_length)[:, agents]
        return data, correction, sequences, Starts(actor=memory, critic=batch.critic_memory)

    def _descend(
        self,
        group: Learners,
        sequences: Sequences,
        starts: Starts,
        *,
        epochs: int,
        rate: Array,
        key: Array,
    ) -> tuple[Learners, Metrics]:
        """Epochs of minibatch steps; metrics are means over them."""

        def epoch(group: Learners, key: Array) -> tuple[Learners, Metrics]:
            parts = split(sequences, starts, key, self.minibatches)
            return jax.lax.scan(lambda g, part: self.gradient_step(g, *part, rate), group, parts)

        group, metrics = jax.lax.scan(epoch, group, jax.random.split(key, epochs))
        return group, jax.tree.map(jnp.mean, metrics)

    def _select(self, learners: Learners, agents: Array) -> Learners:
        return Learners(
            self.team.select(learners.actor, agents),
            self.team.select(learners.actor_optimiser, agents),
            learners.critic,
            learners.critic_optimiser,
        )

    def _replace(self, learners: Learners, agents: Array, group: Learners) -> Learners:
        return Learners(
            self.team.replace(learners.actor, agents, group.actor),
            self.team.replace(learners.actor_optimiser, agents, group.actor_optimiser),
            group.critic,
            group.critic_optimiser,
        )

    def _measure(
        self, params: Params, trajectory: Trajectory, log_ratios: Array, agents: Array
    ) -> Array:
        """log r of every agent [T, E, N] after the stage; a dead agent's is 0.

        With separate parameters only the stage's agents have moved.
        """
        moved = jnp.arange(self.team.num_agents) if self.team.shared else agents
        length, num_envs = self.chunk_length, trajectory.reward.shape[1]

        def chunks(x: Array) -> Array:
            return to_chunks(x[:, :, moved], length)

        output, _ = self.team.unroll(
            self.team.select(params, moved),
            chunks(trajectory.observation),
            chunk_starts(trajectory.memory, length)[:, moved],
            to_chunks(trajectory.first, length),
        )
        available = trajectory.available_actions
        log_prob = self.team.distribution.log_prob(
            output,
            chunks(trajectory.action),
            None if available is None else chunks(available),
        )
        change = from_chunks(log_ratio(log_prob, chunks(trajectory.log_prob)), num_envs)
        return log_ratios.at[..., moved].set(jnp.where(trajectory.alive[..., moved], change, 0.0))

    @staticmethod
    def _diagnose(
        data: StageData, correction: Correction, own_log_ratio: Array, mask: Array
    ) -> Metrics:
        """How far off-policy the stage's data were, and how far its agents moved."""
        return {
            "others_log_ratio_abs": masked_mean(jnp.abs(data.log_ratio), mask),
            "others_ratio_ess": effective_sample_size(data.log_ratio, mask),
            "state_weight_ess": effective_sample_size(jnp.log(correction.state_weight), mask),
            "weight_mean": masked_mean(correction.weight, mask),
            "kl": masked_mean(kl_from_log_ratio(own_log_ratio), mask),
        }
