"""Carrying out a plan: a scan over stages, each a correction and gradient steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.normalise import mean_and_deviation
from opspo.policies.networks import Networks
from opspo.rollout.values import revalued
from opspo.types import Array, Batch, Correction, Moved, StageData
from opspo.update.algorithm import Algorithm
from opspo.update.diagnostics import diagnose
from opspo.update.learners import Learners, replace, select
from opspo.update.minibatch import split
from opspo.update.moved import measure, not_moved
from opspo.update.schedule import Plan
from opspo.update.sequences import Sequences, Starts, to_sequences
from opspo.update.step import GradientStep, Metrics, Step
from opspo.update.view import view

FurtherDiagnostics = Callable[[StageData, Correction, Array, Array, Array], dict[str, Array]]
"""(data, correction, the agents' log-ratio before, after, mask) → scalars; see `bound_estimates`"""


@struct.dataclass
class Progress:
    """What one stage passes on to the next."""

    learners: Learners
    moved: Moved
    round_began: Array
    """[T, E, N] log-ratio of each agent when the round over the agents began"""
    state_weight: Any


@dataclass(frozen=True)
class Update:
    """The update: the half of an iteration that learns."""

    algorithm: Algorithm
    gradient_step: GradientStep
    minibatches: int
    extra_critic_passes: int
    critic_epochs: int
    """Epochs of the critic alone after the last stage; 0: it takes a step with each actor step"""
    normalise_advantage: bool
    normalise_weight: bool
    further_diagnostics: FurtherDiagnostics | None = None
    """What else to log about each stage"""

    @property
    def networks(self) -> Networks:
        """The actors and the critic."""
        return self.gradient_step.networks

    def __call__(
        self, learners: Learners, state_weight: Any, batch: Batch, plan: Plan, key: Array
    ) -> tuple[Learners, Any, Metrics, Metrics]:
        """Carry out the plan.

        Returns:
            The new learners; what the state weights keep; losses and norms, averaged over all
            gradient steps; and diagnostics [positions], one for each stage in the last round over
            the agents.
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
            partial(self._stage, batch, plan),
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
        """Whether to measure how far agents move: after a plan's only stage, nothing needs it."""
        return plan.agents.shape[0] > 1 or self.further_diagnostics is not None

    def train_critic(
        self, learners: Learners, batch: Batch, key: Array
    ) -> tuple[Learners, Metrics]:
        """Train only the critic, on targets that do not depend on how far agents have moved."""
        agents = jnp.arange(self.networks.team.num_members)
        nothing = not_moved(batch)
        data = self.view(
            batch,
            nothing,
            agents,
            agents,
            stage=jnp.zeros((), int),
            round_began=nothing.log_ratio,
        )
        correction = self.algorithm.correct(data, jnp.ones_like(data.log_ratio))
        everyone, step = jnp.ones_like(agents, bool), self.gradient_step.critic_step
        return self._train(
            learners, batch, correction, agents, everyone, step, self.critic_epochs, key
        )

    def ahead(
        self,
        learners: Learners,
        batch: Batch,
        correction: Correction,
        agents: Array,
        active: Array,
        *,
        epochs: int,
        key: Array,
    ) -> tuple[Learners, Batch, Metrics]:
        """A stage's critic steps, before those of its agents.

        Returns:
            All learners, the batch with the new critic's values, and the steps' metrics.
        """
        step, passes = self.gradient_step.critic_step, epochs * (1 + self.extra_critic_passes)
        learners, metrics = self._train(
            learners, batch, correction, agents, active, step, passes, key
        )
        return learners, self._revalued(batch, learners), metrics

    def view(
        self,
        batch: Batch,
        moved: Moved,
        agents: Array,
        rank: Array,
        *,
        stage: Array,
        round_began: Array,
    ) -> StageData:
        """The data from the point of view of a group of agents; see `view.view`."""
        return view(
            batch,
            moved,
            agents,
            rank,
            stage=stage,
            round_began=round_began,
            networks=self.networks,
            algorithm=self.algorithm,
        )

    def sequences(
        self, batch: Batch, correction: Correction, agents: Array, active: Array
    ) -> tuple[Sequences, Starts]:
        """The sequences for a group's gradient steps; see `sequences.to_sequences`."""
        return to_sequences(
            batch,
            correction,
            agents,
            active,
            networks=self.networks,
            normalise_advantage=self.normalise_advantage,
            normalise_weight=self.normalise_weight,
        )

    def descend(
        self,
        group: Learners,
        sequences: Sequences,
        starts: Starts,
        step: Step,
        *,
        epochs: int,
        rate: Array,
        key: Array,
        extra_critic_passes: int = 0,
    ) -> tuple[Learners, Metrics]:
        """Take epochs of minibatch steps, each after some of the critic alone.

        The metrics are [epochs, minibatches].
        """

        def run(step: Step, group: Learners, key: Array) -> tuple[Learners, Metrics]:
            parts = split(sequences, starts, key, self.minibatches)
            return jax.lax.scan(lambda g, part: step(g, *part, rate), group, parts)

        def epoch(group: Learners, key: Array) -> tuple[Learners, Metrics]:
            key, *extra = jax.random.split(key, 1 + extra_critic_passes)
            for extra_key in extra:
                group, _ = run(self.gradient_step.critic_step, group, extra_key)
            return run(step, group, key)

        return jax.lax.scan(epoch, group, jax.random.split(key, epochs))

    def _stage(
        self, batch: Batch, plan: Plan, progress: Progress, now: tuple[Array, ...]
    ) -> tuple[Progress, tuple[Metrics, Metrics]]:
        """Correct the data for a group of agents and train them on it."""
        agents, active, rank, index, key = now
        weigh_key, descend_key = jax.random.split(key)
        if self.algorithm.values != "collected":
            batch = self._anew(batch, progress.learners, index)
        began = jnp.where(
            index % plan.positions == 0, progress.moved.log_ratio, progress.round_began
        )

        def look(batch: Batch) -> StageData:
            return self.view(batch, progress.moved, agents, rank, stage=index, round_began=began)

        data = look(batch)
        omega, state_weight = self.algorithm.state_weight.weigh(
            progress.state_weight, batch, data, index, weigh_key
        )
        correction = self.algorithm.correct(data, omega)
        learners = progress.learners
        metrics: Metrics = {}
        if self.algorithm.values == "ahead":
            learners, batch, metrics = self.ahead(
                learners, batch, correction, agents, active, epochs=plan.epochs, key=descend_key
            )
            data = look(batch)
            correction = self.algorithm.correct(data, omega)
        step, extra = self._step
        learners, step_metrics = self._train(
            learners, batch, correction, agents, active, step, plan.epochs, descend_key, extra
        )
        metrics |= step_metrics
        # the KL of the last epoch only, not averaged with the earlier ones
        losses = jax.tree.map(jnp.mean, metrics | {"kl": metrics["kl"][-1]})
        moved = progress.moved
        if self.measures(plan):
            given = self.networks, self.algorithm.ratio_of, learners.actor, batch.trajectory
            moved = measure(*given, moved, agents, batch.action_values)
        state_weight = self.algorithm.state_weight.moved(state_weight, learners.actor, agents)
        mask = data.alive & active
        diagnostics = diagnose(data, correction, mask)
        diagnostics |= {name: losses.pop(name) for name in ("clip_fraction", "kl")}
        if self.further_diagnostics:
            before, after = progress.moved.density_log_ratio, moved.density_log_ratio
            diagnostics |= self.further_diagnostics(
                data, correction, before[..., agents], after[..., agents], mask
            )
        return Progress(learners, moved, began, state_weight), (losses, diagnostics)

    @property
    def _step(self) -> tuple[Step, int]:
        """A stage's step, and the passes of the critic alone before each epoch."""
        if self.critic_epochs or self.algorithm.values == "ahead":
            return self.gradient_step.actor_step, 0
        return self.gradient_step, self.extra_critic_passes

    def _train(
        self,
        learners: Learners,
        batch: Batch,
        correction: Correction,
        agents: Array,
        active: Array,
        step: Step,
        epochs: int,
        key: Array,
        extra_critic_passes: int = 0,
    ) -> tuple[Learners, Metrics]:
        """`descend` for a group of agents on their part of the batch; returns all learners."""
        group, metrics = self.descend(
            select(self.networks, learners, agents),
            *self.sequences(batch, correction, agents, active),
            step,
            epochs=epochs,
            rate=batch.learning_rate_scale,
            key=key,
            extra_critic_passes=extra_critic_passes,
        )
        return replace(self.networks, learners, agents, group), metrics

    def _anew(self, batch: Batch, learners: Learners, stage: Array) -> Batch:
        """The batch with the values of the current critic.

        In the first stage the critic has not moved yet, although the unit of its training has.
        """
        return jax.lax.cond(stage == 0, lambda: batch, lambda: self._revalued(batch, learners))

    def _revalued(self, batch: Batch, learners: Learners) -> Batch:
        epsilon = self.gradient_step.least_deviation
        unit = mean_and_deviation(learners.value_statistics, epsilon=epsilon)
        return revalued(self.networks.critic, learners.critic, unit, batch)
