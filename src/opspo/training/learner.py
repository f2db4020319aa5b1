"""One iteration of training as a pure function: collect, evaluate, update."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from opspo.config import TrainConfig
from opspo.environments.base import Environment, runs_on_host
from opspo.estimators.advantages import gae
from opspo.estimators.normalise import (
    fresh_statistics,
    mean_and_deviation,
    update_statistics,
)
from opspo.policies.team import Critic, Team
from opspo.rollout import host, scan
from opspo.rollout.chunks import chunk_starts
from opspo.rollout.values import features_along, in_reward_unit, values_along
from opspo.training.action_head import ActionHead
from opspo.training.reuse import Reuse
from opspo.types import Array, Batch, Params, RolloutState, TrainState, Trajectory, ValueStatistics
from opspo.update.algorithm import Algorithm
from opspo.update.diagnostics import episode_metrics, find_faults
from opspo.update.learners import Learners
from opspo.update.schedule import Plan
from opspo.update.scores import scores
from opspo.update.stages import Update
from opspo.update.step import Metrics


@dataclass(frozen=True)
class Learner:
    """Everything that is fixed in a run; its two main functions are `init` and `iterate`."""

    config: TrainConfig
    environment: Environment
    update: Update
    action_head: ActionHead | None = None
    """The critic's head for action values, if a term asks for them"""
    reuse: Reuse | None = None
    """How batches of earlier iterations are used again, if they are"""

    @property
    def team(self) -> Team:
        """The actors."""
        return self.update.networks.team

    @property
    def critic(self) -> Critic:
        """The critic."""
        return self.update.networks.critic

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm."""
        return self.update.algorithm

    def init(self, seed: int) -> TrainState:
        """The state before the first iteration."""
        actor_key, critic_key, rollout_key, weight_key, key = jax.random.split(
            jax.random.PRNGKey(seed), 5
        )
        actor = self.team.init(actor_key)
        critic = self.critic.init(critic_key)
        step = self.update.gradient_step
        num_envs = self.config.rollout.num_envs
        state = TrainState(
            actor=actor,
            actor_optimiser=self.team.init_optimiser(step.actor_optimiser, actor),
            critic=critic,
            critic_optimiser=self.critic.init_optimiser(step.critic_optimiser, critic),
            value_statistics=fresh_statistics(self.config.value.first_variance),
            critic_memory=self.critic.initial_memory(num_envs),
            state_weight=(),
            rollout=self._begin(num_envs, rollout_key),
            key=key,
            iteration=jnp.zeros((), jnp.int32),
        )
        if self.action_head is not None:
            head = self.action_head.init(actor, critic)
            state = state.replace(action_head=head)  # type: ignore[attr-defined]
        example = jax.eval_shape(self.example, state)
        if self.reuse is not None:
            played = example.trajectory
            earlier = self.reuse.blank(played, state.critic_memory)
            state = state.replace(earlier=earlier)  # type: ignore[attr-defined]
            example = jax.eval_shape(lambda s, t: self.everything(s, t)[0], state, played)
        return state.replace(  # type: ignore[attr-defined]
            state_weight=self.algorithm.state_weight.init(weight_key, example, actor)
        )

    def iterate(self, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Collect a batch and learn from it; return the new state and metrics.

        The metrics include `faults`: flags of quantities that are broken. If any is set, the state
        is returned unchanged.
        """
        rollout, trajectory = self.collect(state, keys_of(state).collect)
        return self.finish(state, rollout, trajectory)

    def finish(
        self, state: TrainState, rollout: RolloutState, trajectory: Trajectory
    ) -> tuple[TrainState, dict[str, Any]]:
        """The second half of `iterate`: learn from a collected trajectory."""
        keys = keys_of(state)
        learned, losses, positions = self.learn(state, trajectory, keys.learn)
        new = learned.replace(  # type: ignore[attr-defined]
            rollout=rollout, key=keys.following, iteration=state.iteration + 1
        )
        faults = find_faults(trajectory, losses | positions, new)
        broken = jnp.stack(list(faults.values())).any()
        kept = jax.tree.map(lambda old, new: jnp.where(broken, old, new), state, new)
        metrics = {
            "episodes": episode_metrics(trajectory),
            "losses": losses,
            "positions": positions,
            "faults": faults,
        }
        return kept, metrics

    def collect(self, state: TrainState, key: Array) -> tuple[RolloutState, Trajectory]:
        """Play with the current policies; return the rollout state afterwards and the batch."""
        assert not runs_on_host(self.environment)
        return scan.collect(
            self.environment,
            self.team,
            state.actor,
            state.rollout,
            key,
            num_steps=self.config.rollout.num_steps,
            view=self.critic.view,
        )

    def learn(
        self, state: TrainState, trajectory: Trajectory, key: Array
    ) -> tuple[TrainState, Metrics, Metrics]:
        """Learn from a batch: return the new state and the two kinds of metrics of `Update`."""
        plan_key, update_key = jax.random.split(key)
        batch, statistics, critic_memory, earlier = self.everything(state, trajectory)
        plan = self.plan(batch, plan_key)
        learners, state_weight, losses, positions = self.update(
            Learners(
                state.actor,
                state.actor_optimiser,
                state.critic,
                state.critic_optimiser,
                statistics,
            ),
            state.state_weight,
            batch,
            plan,
            update_key,
        )
        action_head = state.action_head
        if self.action_head is not None:
            action_head, told = self.action_head.fit(action_head, batch, learners.value_statistics)
            losses |= told
        # after the update, so that all ratios of an iteration use the same statistics
        actor, critic = self._observe(learners.actor, learners.critic, trajectory)
        learned = state.replace(  # type: ignore[attr-defined]
            actor=actor,
            actor_optimiser=learners.actor_optimiser,
            critic=critic,
            critic_optimiser=learners.critic_optimiser,
            value_statistics=learners.value_statistics,
            critic_memory=critic_memory,
            state_weight=state_weight,
            action_head=action_head,
            earlier=earlier,
        )
        return learned, losses, positions

    def plan(self, batch: Batch, key: Array) -> Plan:
        """The stages of an update on a batch."""
        score = scores(self._gae(batch), batch.value, batch.trajectory.alive)
        return self.algorithm.schedule(key, score)

    def divided(self, mesh: Mesh) -> Learner:
        """The same learner, for environments divided over the devices of `mesh`."""
        step = replace(self.update.gradient_step, mesh=mesh if mesh.size > 1 else None)
        return replace(self, update=replace(self.update, gradient_step=step))

    def example(self, state: TrainState) -> Batch:
        """An example batch, for its shapes."""
        if runs_on_host(self.environment):
            trajectory = host.blank_trajectory(
                self.team,
                state.actor,
                state.rollout,
                num_steps=self.config.rollout.num_steps,
                view=self.critic.view,
            )
        else:
            trajectory = self.collect(state, state.key)[1]
        return self.valued(state, trajectory)[0]

    def _begin(self, num_envs: int, key: Array) -> RolloutState:
        """Begin episodes; for engines outside of JAX, only shapes until they are started."""
        if runs_on_host(self.environment):
            return host.blank(self.environment.spec, self.team, num_envs)
        return scan.begin(self.environment, self.team, num_envs, key)

    def valued(
        self, state: TrainState, trajectory: Trajectory
    ) -> tuple[Batch, ValueStatistics, Array]:
        """The batch with the critic's values, the statistics to train with, and its new memory."""
        config, statistics = self.config.value, state.value_statistics
        memories, memory, raw, raw_next = values_along(
            self.critic, state.critic, state.critic_memory, trajectory
        )
        unit = mean_and_deviation(statistics, epsilon=config.least_deviation)
        value, next_value = in_reward_unit(raw, raw_next, trajectory.terminated, unit)
        batch = Batch(
            trajectory=trajectory,
            value=value,
            next_value=next_value,
            raw_value=raw,
            critic_memory=chunk_starts(memories, self.config.chunk_length),
            learning_rate_scale=self._rate(state),
        )
        if self.algorithm.needs_features:
            batch = batch.replace(features=self.features(state, batch))  # type: ignore[attr-defined]
        if self.action_head is not None:
            values = self.action_head.values(state.action_head, state.actor, batch, statistics)
            batch = batch.replace(action_values=values)  # type: ignore[attr-defined]
        if config.normalise and config.statistics == "iteration":
            returns = self._gae(batch) + value
            statistics = update_statistics(statistics, returns, decay=config.decay)
        return batch, statistics, memory

    def everything(
        self, state: TrainState, trajectory: Trajectory
    ) -> tuple[Batch, ValueStatistics, Array, Any]:
        """`valued` for this iteration's batch beside those that are used again, and what is kept of
        all of them."""
        if self.reuse is None:
            return *self.valued(state, trajectory), ()
        whole, began = self.reuse.beside(state, trajectory)
        envs = len(state.critic_memory)
        state = state.replace(critic_memory=whole.critic_memory)  # type: ignore[attr-defined]
        batch, statistics, memories = self.valued(state, whole.trajectory)
        batch = batch.replace(began=began)  # type: ignore[attr-defined]
        return batch, statistics, memories[:envs], self.reuse.keep(whole)

    def features(self, state: TrainState, batch: Batch) -> Array:
        """The critic's last hidden layer along a batch [T, E, M, p]."""
        return features_along(
            self.critic,
            state.critic,
            batch.critic_memory,
            batch.trajectory,
            chunk_length=self.config.chunk_length,
        )

    def _observe(
        self, actor: Params, critic: Params, trajectory: Trajectory
    ) -> tuple[Params, Params]:
        """Actors and critic with updated statistics of their inputs."""
        mask = jnp.ones(trajectory.state.shape[:-1], bool)
        return (
            self.team.observe(actor, trajectory.observation, trajectory.alive),
            self.critic.observe(critic, trajectory.state, mask),
        )

    def _rate(self, state: TrainState) -> Array:
        """Factor on the learning rates: with annealing it falls linearly from 1 to 0, else 1."""
        if not self.config.optimiser.anneal:
            return jnp.ones(())
        return 1 - state.iteration / self.config.iterations

    def _gae(self, batch: Batch) -> Array:
        """The uncorrected advantage [T, E, M]."""
        trajectory = batch.trajectory
        return gae(
            trajectory.reward[..., None],
            batch.value,
            batch.next_value,
            trajectory.done[..., None],
            gamma=self.config.algorithm.gamma,
            gae_lambda=self.config.algorithm.gae_lambda,
        )


class Keys(NamedTuple):
    """The random keys of an iteration."""

    following: Array
    collect: Array
    learn: Array


def keys_of(state: TrainState) -> Keys:
    """The keys of the next iteration, split from the state's key."""
    return Keys(*jax.random.split(state.key, 3))
