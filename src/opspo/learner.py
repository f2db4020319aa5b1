"""One iteration of training as one pure function: collect, evaluate, update."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from opspo.algorithms import ALGORITHMS, Algorithm, Setting
from opspo.config import ConfigError, TrainConfig
from opspo.environments.base import Environment, runs_on_host
from opspo.environments.entry import entered
from opspo.estimators.normalise import (
    fresh_statistics,
    mean_and_deviation,
    update_statistics,
)
from opspo.estimators.traces import gae
from opspo.policies.team import Critic, Team, make_critic, make_team
from opspo.rollout import host, scan
from opspo.rollout.chunks import chunk_starts
from opspo.rollout.values import in_reward_unit, values_along
from opspo.types import Array, Batch, Params, RolloutState, TrainState, Trajectory, ValueStatistics
from opspo.update.bound_estimates import bound_estimates
from opspo.update.diagnostics import episode_metrics, find_faults
from opspo.update.order import scores
from opspo.update.stage import Update
from opspo.update.step import GradientStep, Learners, Metrics, make_optimiser


@dataclass(frozen=True)
class Learner:
    """Everything fixed about a run; `init` and `iterate` are its two functions."""

    config: TrainConfig
    environment: Environment
    team: Team
    critic: Critic
    algorithm: Algorithm
    update: Update

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
        example = jax.eval_shape(self.example, state)
        return state.replace(  # type: ignore[attr-defined]
            state_weight=self.algorithm.state_weight.init(weight_key, example, actor)
        )

    def iterate(self, state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """Collect a batch, learn from it, and say what happened.

        The metrics have a part `faults`: flags of what must not be. Where one is raised, the
        state comes back as it was.
        """
        rollout, trajectory = self.collect(state, keys_of(state).collect)
        return self.finish(state, rollout, trajectory)

    def finish(
        self, state: TrainState, rollout: RolloutState, trajectory: Trajectory
    ) -> tuple[TrainState, dict[str, Any]]:
        """The second half of `iterate`: learn from what was collected."""
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
        """Play with the present policies; where the environments stand then, and the batch."""
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
        """Update all that is learned from a batch; see `Update` for the two parts of metrics."""
        plan_key, update_key = jax.random.split(key)
        batch, statistics, critic_memory = self._evaluate(state, trajectory)
        advantage = self._gae(batch)
        plan = self.algorithm.schedule(plan_key, scores(advantage, batch.value, trajectory.alive))
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
        # after the update: every ratio of an iteration sees through the same statistics
        actor, critic = self._observe(learners.actor, learners.critic, trajectory)
        learned = state.replace(  # type: ignore[attr-defined]
            actor=actor,
            actor_optimiser=learners.actor_optimiser,
            critic=critic,
            critic_optimiser=learners.critic_optimiser,
            value_statistics=learners.value_statistics,
            critic_memory=critic_memory,
            state_weight=state_weight,
        )
        return learned, losses, positions

    def divided(self, mesh: Mesh) -> Learner:
        """The same, for environments that are divided over devices."""
        step = replace(self.update.gradient_step, mesh=mesh if mesh.size > 1 else None)
        return replace(self, update=replace(self.update, gradient_step=step))

    def example(self, state: TrainState) -> Batch:
        """A batch, to see its shapes."""
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
        return self._evaluate(state, trajectory)[0]

    def _begin(self, num_envs: int, key: Array) -> RolloutState:
        """Episodes begun; for engines outside of JAX only the shapes, until they are started."""
        if runs_on_host(self.environment):
            return host.blank(self.environment.spec, self.team, num_envs)
        return scan.begin(self.environment, self.team, num_envs, key)

    def _evaluate(
        self, state: TrainState, trajectory: Trajectory
    ) -> tuple[Batch, ValueStatistics, Array]:
        """What the critic thinks of the batch, the statistics to train on, its memory after it."""
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
        if config.normalise and config.statistics == "iteration":
            returns = self._gae(batch) + value
            statistics = update_statistics(statistics, returns, decay=config.decay)
        return batch, statistics, memory

    def _observe(
        self, actor: Params, critic: Params, trajectory: Trajectory
    ) -> tuple[Params, Params]:
        """Both with the statistics of their inputs brought up to date."""
        mask = jnp.ones(trajectory.state.shape[:-1], bool)
        return (
            self.team.observe(actor, trajectory.observation, trajectory.alive),
            self.critic.observe(critic, trajectory.state, mask),
        )

    def _rate(self, state: TrainState) -> Array:
        """Share of the learning rates left: falls linearly from 1 to 0 where annealed."""
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
    """An iteration's keys."""

    following: Array
    collect: Array
    learn: Array


def keys_of(state: TrainState) -> Keys:
    """Split the state's key."""
    return Keys(*jax.random.split(state.key, 3))


def make_learner(config: TrainConfig, environment: Environment) -> Learner:
    """Put a run together from its configuration; the environment enters by `entered`.

    Raises:
        ConfigError: it asks for groups of environments that JAX steps all at once.
    """
    _check_groups(config, environment)
    environment = entered(environment, agent_id=config.policy.appends_agent_id)
    team = make_team(config.policy, environment.spec)
    critic = make_critic(config.policy, environment.spec, local=config.algorithm.critic == "local")
    setting = Setting(team=team, critic=critic, chunk_length=config.chunk_length)
    algorithm = ALGORITHMS[config.algo](config.algorithm, setting)
    gamma, gae_lambda = config.algorithm.gamma, config.algorithm.gae_lambda
    estimates = partial(bound_estimates, gamma=gamma, gae_lambda=gae_lambda)
    update = Update(
        team=team,
        critic=critic,
        algorithm=algorithm,
        gradient_step=_gradient_step(config, team, critic, algorithm),
        chunk_length=config.chunk_length,
        minibatches=config.algorithm.minibatches,
        extra_critic_passes=config.algorithm.extra_critic_passes,
        critic_epochs=config.algorithm.critic_epochs,
        normalise_advantage=config.algorithm.normalise_advantage,
        normalise_weight=config.algorithm.normalise_weight,
        further_diagnostics=estimates if config.bound_estimates else None,
    )
    return Learner(config, environment, team, critic, algorithm, update)


def _gradient_step(
    config: TrainConfig, team: Team, critic: Critic, algorithm: Algorithm
) -> GradientStep:
    optimiser = config.optimiser
    actor_optimiser, critic_optimiser = (
        make_optimiser(
            rate, adam_epsilon=optimiser.adam_epsilon, max_grad_norm=optimiser.max_grad_norm
        )
        for rate in (optimiser.actor_learning_rate, optimiser.critic_learning_rate)
    )
    return GradientStep(
        team=team,
        critic=critic,
        actor_optimiser=actor_optimiser,
        critic_optimiser=critic_optimiser,
        entropy_coefficient=config.algorithm.entropy_coefficient,
        value_clip=config.value.clip,
        huber_delta=config.value.huber_delta,
        mask_dead=config.value.mask_dead,
        value_decay=config.value.decay if config.value.each_step else None,
        least_deviation=config.value.least_deviation,
        action_ratio=algorithm.action_ratio,
        live_range=algorithm.live_range,
    )


def _check_groups(config: TrainConfig, environment: Environment) -> None:
    if config.rollout.groups > 1 and not runs_on_host(environment):
        raise ConfigError(
            f"rollout.groups must be 1 for {config.env}, but is {config.rollout.groups}: JAX steps "
            "all its environments in one program. Groups are for engines outside of JAX."
        )
