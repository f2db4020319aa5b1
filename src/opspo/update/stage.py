"""Carrying out a plan: stage after stage of correction and gradient steps, in one scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.normalise import masked_mean, mean_and_deviation, standardise
from opspo.objectives.corrections import nearness
from opspo.policies.team import Critic, Team
from opspo.rollout.chunks import chunk_starts, to_chunks
from opspo.rollout.values import revalued
from opspo.types import Array, Batch, Correction, Params, StageData, Trajectory
from opspo.update.algorithm import Algorithm
from opspo.update.diagnostics import diagnose
from opspo.update.groups import replace, select
from opspo.update.minibatch import split
from opspo.update.moved import Moved, measure, not_moved
from opspo.update.schedule import Plan
from opspo.update.step import GradientStep, Learners, Metrics, Sequences, Starts, Step


def _standardise_each(advantage: Array, mask: Array) -> Array:
    return jax.vmap(standardise, in_axes=-1, out_axes=-1)(advantage, mask)


@struct.dataclass
class Progress:
    """What one stage hands to the next."""

    learners: Learners
    moved: Moved
    round_began: Array
    """[T, E, N] log-ratio of each agent when the round over them began"""
    state_weight: Any


FurtherDiagnostics = Callable[[StageData, Correction, Array, Array, Array], dict[str, Array]]
"""(data, correction, the agents' log-ratio before, after, mask) → scalars; see `bound_estimates`"""


@dataclass(frozen=True)
class Update:
    """The learning half of an iteration."""

    team: Team
    critic: Critic
    algorithm: Algorithm
    gradient_step: GradientStep
    chunk_length: int
    minibatches: int
    extra_critic_passes: int
    critic_epochs: int
    """of the critic alone, after the last stage; 0: it takes a step with each of the agents'"""
    normalise_advantage: bool
    normalise_weight: bool
    further_diagnostics: FurtherDiagnostics | None = None
    """what else to log of each stage"""

    def __call__(
        self, learners: Learners, state_weight: Any, batch: Batch, plan: Plan, key: Array
    ) -> tuple[Learners, Any, Metrics, Metrics]:
        """Carry out the plan.

        Returns:
            The new learners and what the state weights keep; losses and norms averaged over all
            gradient steps; and diagnostics [positions] of each stage in the last round over the
            agents.
        """
        begin_key, key = jax.random.split(key)
        start = Progress(
            learners,
            not_moved(batch),
            not_moved(batch).log_ratio,
            self.algorithm.state_weight.begin(
                state_weight, batch, learners.actor, learners.critic, begin_key
            ),
        )
        stages = plan.agents.shape[0]
        keys = jax.random.split(key, stages + 1)
        last, (losses, diagnostics) = jax.lax.scan(
            partial(self._stage, batch, plan, self.measures(plan)),
            start,
            (plan.agents, plan.active, plan.rank, jnp.arange(stages), keys[:-1]),
        )
        learners = last.learners
        last_round = jax.tree.map(lambda x: x[-plan.positions :], diagnostics)
        if self.critic_epochs:
            learners, critic_losses = self.train_critic(learners, batch, keys[-1])
            losses |= critic_losses
        kept = self.algorithm.state_weight.end(last.state_weight)
        return learners, kept, jax.tree.map(jnp.mean, losses), last_round

    def measures(self, plan: Plan) -> bool:
        """Whether anyone asks how far agents have moved: after a plan's only stage nobody does."""
        return plan.agents.shape[0] > 1 or self.further_diagnostics is not None

    def train_critic(
        self, learners: Learners, batch: Batch, key: Array
    ) -> tuple[Learners, Metrics]:
        """Train the critic alone on targets that do not depend on how far agents have moved."""
        agents = jnp.arange(self.team.num_members)
        nothing = not_moved(batch)
        data = self._view(batch, nothing, nothing.log_ratio, agents, agents, jnp.zeros((), int))
        correction = self.algorithm.correct(data, jnp.ones_like(data.log_ratio))
        everyone = jnp.ones_like(agents, bool)
        return self._descend(
            learners,
            *self._sequences(batch, agents, everyone, data.alive, correction),
            self.gradient_step.critic_step,
            epochs=self.critic_epochs,
            rate=batch.learning_rate_scale,
            key=key,
        )

    def _stage(
        self, batch: Batch, plan: Plan, measures: bool, progress: Progress, now: tuple[Array, ...]
    ) -> tuple[Progress, tuple[Metrics, Metrics]]:
        """Correct the data for a group of agents and train them on it."""
        agents, active, rank, index, key = now
        weigh_key, descend_key = jax.random.split(key)
        if self.algorithm.values_anew:
            batch = self._anew(batch, progress.learners, index)
        began = jnp.where(
            index % plan.positions == 0, progress.moved.log_ratio, progress.round_began
        )
        data = self._view(batch, progress.moved, began, agents, rank, index)
        omega, state_weight = self.algorithm.state_weight.weigh(
            progress.state_weight, batch, data, index, weigh_key
        )
        correction = self.algorithm.correct(data, omega)
        mask = data.alive & active
        group, metrics = self._descend(
            select(self.team, self.critic, progress.learners, agents),
            *self._sequences(batch, agents, active, mask, correction),
            self.gradient_step.actor_step if self.critic_epochs else self.gradient_step,
            epochs=plan.epochs,
            rate=batch.learning_rate_scale,
            key=descend_key,
        )
        # how far the agents have come, not how far they were on the way
        losses = jax.tree.map(jnp.mean, metrics | {"kl": metrics["kl"][-1]})
        learners = replace(self.team, self.critic, progress.learners, agents, group)
        moved = progress.moved
        if measures:
            moved = self._measure(learners.actor, batch.trajectory, moved, agents)
        state_weight = self.algorithm.state_weight.moved(state_weight, learners.actor, agents)
        diagnostics = diagnose(data, correction, mask)
        diagnostics |= {name: losses.pop(name) for name in ("clip_fraction", "kl")}
        if self.further_diagnostics:
            before, after = progress.moved.density_log_ratio, moved.density_log_ratio
            diagnostics |= self.further_diagnostics(
                data, correction, before[..., agents], after[..., agents], mask
            )
        return Progress(learners, moved, began, state_weight), (losses, diagnostics)

    def _anew(self, batch: Batch, learners: Learners, stage: Array) -> Batch:
        """The batch with the values of the critic as the stages so far have left it.

        In the first it has not moved yet, though the unit that it is trained in has.
        """
        return jax.lax.cond(
            stage == 0,
            lambda: batch,
            lambda: revalued(
                self.critic,
                learners.critic,
                mean_and_deviation(
                    learners.value_statistics, epsilon=self.gradient_step.least_deviation
                ),
                batch,
            ),
        )

    def _view(
        self,
        batch: Batch,
        moved: Moved,
        began: Array,
        agents: Array,
        rank: Array,
        stage: Array,
    ) -> StageData:
        """The data from where a group of agents stands."""
        trajectory, members = batch.trajectory, self.critic.members(agents)
        weight_agents = self.algorithm.weight_agents
        return StageData(
            reward=trajectory.reward[..., None],
            value=batch.value[..., members],
            next_value=batch.next_value[..., members],
            done=trajectory.done[..., None],
            first=trajectory.first[..., None],
            log_ratio=weight_agents(moved.log_ratio, agents, rank),
            trace_log_ratio=self.algorithm.trace_agents(moved.density_log_ratio, agents, rank),
            density_log_ratio=weight_agents(moved.density_log_ratio, agents, rank),
            position=(rank[agents] + 1) / self.team.num_members,
            nearness=nearness(began)[agents],
            alive=trajectory.alive[..., agents],
            stage=stage,
        )

    def _sequences(
        self, batch: Batch, agents: Array, active: Array, mask: Array, correction: Correction
    ) -> tuple[Sequences, Starts]:
        """What the gradient steps of a group of agents work on."""
        trajectory, members = batch.trajectory, self.critic.members(agents)
        advantage, weight = correction.advantage, correction.weight
        if self.normalise_advantage:
            # as in the loss, separate agents are each on their own
            scale = standardise if self.team.shared else _standardise_each
            advantage = scale(advantage, mask)
        if self.normalise_weight:
            weight = weight / jnp.maximum(masked_mean(weight, mask), 1e-6)

        available = trajectory.available_actions
        own = self.team.own_dimensions(agents)
        log_prob = trajectory.log_prob[:, :, agents]
        by_time = Sequences(
            observation=trajectory.observation[:, :, agents],
            available_actions=None if available is None else available[:, :, agents],
            action=trajectory.action[:, :, agents],
            log_prob=log_prob,
            dimensions=None if own is None else jnp.broadcast_to(own, log_prob.shape),
            mask=mask,
            advantage=advantage,
            weight=weight,
            low=correction.low,
            high=correction.high,
            state=trajectory.state[:, :, members],
            first=trajectory.first,
            value=batch.raw_value[..., members],
            value_target=correction.value_target,
            target_mask=jnp.broadcast_to(active, mask.shape),
        )
        sequences = jax.tree.map(lambda x: to_chunks(x, self.chunk_length), by_time)
        memory = chunk_starts(trajectory.memory, self.chunk_length)[:, agents]
        return sequences, Starts(actor=memory, critic=batch.critic_memory[:, members])

    def _descend(
        self,
        group: Learners,
        sequences: Sequences,
        starts: Starts,
        step: Step,
        *,
        epochs: int,
        rate: Array,
        key: Array,
    ) -> tuple[Learners, Metrics]:
        """Epochs of minibatch steps; metrics are [epochs, minibatches]."""

        def run(step: Step, group: Learners, key: Array) -> tuple[Learners, Metrics]:
            parts = split(sequences, starts, key, self.minibatches)
            return jax.lax.scan(lambda g, part: step(g, *part, rate), group, parts)

        def epoch(group: Learners, key: Array) -> tuple[Learners, Metrics]:
            key, *extra = jax.random.split(key, 1 + self.extra_critic_passes)
            for extra_key in extra:
                group, _ = run(self.gradient_step.critic_step, group, extra_key)
            return run(step, group, key)

        return jax.lax.scan(epoch, group, jax.random.split(key, epochs))

    def _measure(
        self, params: Params, trajectory: Trajectory, before: Moved, agents: Array
    ) -> Moved:
        """How far all have moved after a stage of a group of agents."""
        return measure(
            self.team,
            self.algorithm.action_ratio,
            params,
            trajectory,
            before,
            agents,
            chunk_length=self.chunk_length,
        )
