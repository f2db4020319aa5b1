"""A run put together from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import jax

from opspo.algorithms import AlgorithmConfig
from opspo.config import TrainConfig
from opspo.config.own import declared_as, own_names, plain_algorithm
from opspo.environments.base import Environment, runs_on_host
from opspo.environments.entry import entered
from opspo.errors import ConfigError
from opspo.policies.networks import Networks, make_networks
from opspo.terms import Missing, called
from opspo.training.action_head import ActionHead
from opspo.training.learner import Learner
from opspo.training.reuse import Reuse
from opspo.update.algorithm import Algorithm
from opspo.update.bound_estimates import bound_estimates
from opspo.update.compose import compose
from opspo.update.stages import Update
from opspo.update.step import GradientStep, make_optimiser

Compose = Callable[[Networks], Algorithm]
"""A user's own way from networks to the algorithm, in place of `compose`"""
OwnAlgorithm = AlgorithmConfig | Compose
"""An algorithm of the user's own: a declaration, or a function from the run's networks to it"""


def with_algorithm(config: TrainConfig, algorithm: OwnAlgorithm | None) -> TrainConfig:
    """The settings of a run on an algorithm of the user's own, with its name; None: as they are.

    Raises:
        ConfigError: it is a class, where a declaration is one of its instances.
    """
    if algorithm is None:
        return config
    if isinstance(algorithm, AlgorithmConfig):
        return replace(config, algo=algorithm.name, algorithm=algorithm, composed_by="")
    if isinstance(algorithm, type) or not callable(algorithm):
        raise ConfigError(
            "algorithm must be a declaration, such as HAPPOConfig(), or a function from networks "
            f"to an Algorithm, but is {algorithm!r}."
        )
    return replace(config, composed_by=called(algorithm))


def make_learner(
    config: TrainConfig,
    environment: Environment,
    algorithm: OwnAlgorithm | None = None,
) -> Learner:
    """Put a run together from its configuration.

    Args:
        config: the settings.
        environment: it enters by `entered`.
        algorithm: one of the user's own, in place of the configuration's: a declaration, or a
            function from the networks to the algorithm.

    Raises:
        ConfigError: a setting does not fit the environment; or the algorithm is the user's own, and
            was not given.
    """
    config = with_algorithm(config, algorithm)
    if config.composed_by and not callable(algorithm):
        Missing(config.composed_by)()
    _check_groups(config, environment)
    environment = entered(environment, agent_id=config.policy.appends_agent_id)
    networks = make_networks(
        config.policy,
        environment.spec,
        local_critic=config.algorithm.critic == "local",
        chunk_length=config.chunk_length,
    )
    composed = _composed(config.algorithm, networks, algorithm)
    gamma, gae_lambda = config.algorithm.gamma, config.algorithm.gae_lambda
    estimates = partial(bound_estimates, gamma=gamma, gae_lambda=gae_lambda)
    update = Update(
        algorithm=composed,
        gradient_step=_gradient_step(config, networks, composed),
        minibatches=config.algorithm.minibatches,
        extra_critic_passes=config.algorithm.extra_critic_passes,
        critic_epochs=config.algorithm.critic_epochs,
        normalise_advantage=config.algorithm.normalise_advantage,
        normalise_weight=config.algorithm.normalise_weight,
        further_diagnostics=estimates if config.bound_estimates else None,
    )
    return Learner(
        config,
        environment,
        update,
        action_head=_action_head(config, networks, composed),
        reuse=_reuse(config, networks, composed),
    )


def _action_head(config: TrainConfig, networks: Networks, composed: Algorithm) -> ActionHead | None:
    if not composed.needs_action_values:
        return None
    if networks.critic.local:
        raise ConfigError(
            "algorithm.advantage asks for action values, which are of the global state, but "
            "algorithm.critic is 'local'. Set it to 'central'."
        )
    algorithm = config.algorithm
    return ActionHead(
        networks,
        learning_rate=algorithm.action_head_rate,
        steps=algorithm.action_head_steps,
        gamma=algorithm.gamma,
        least_deviation=config.value.least_deviation,
    )


def _reuse(config: TrainConfig, networks: Networks, algorithm: Algorithm) -> Reuse | None:
    batches = config.algorithm.reuse
    return Reuse(networks, algorithm.ratio_of, batches) if batches else None


def _composed(
    declaration: AlgorithmConfig, networks: Networks, algorithm: OwnAlgorithm | None
) -> Algorithm:
    if algorithm is None or isinstance(algorithm, AlgorithmConfig):
        return compose(declaration, networks)
    composed = algorithm(networks)
    if not isinstance(composed, Algorithm):
        raise ConfigError(
            f"{called(algorithm)} must return an Algorithm, such as that of opspo.compose, but "
            f"returned {composed!r}."
        )
    here, there = (
        {"declaration": declared_as(each) or each.name, **plain_algorithm(each)}
        for each in (declaration, composed.declaration)
    )
    names = [name for name in here | there if here.get(name) != there.get(name)]
    if names:
        said = ", ".join(f"{name} ({here.get(name)!r}, {there.get(name)!r})" for name in names)
        raise ConfigError(
            f"The run's declaration and the one that {called(algorithm)} composes differ in "
            f"{said}. Give the same one to both: TrainConfig(algo=mine.name, algorithm=mine) and "
            "compose(mine, networks)."
        )
    return composed


def check_own_algorithm(learner: Learner) -> None:
    """Trace an update of an algorithm of the user's own, so that its errors come before the run.

    Raises:
        ConfigError: a term returns what does not fit.
    """
    if own_names(learner.config):
        state = jax.eval_shape(learner.init, learner.config.seed)
        jax.eval_shape(lambda s: learner.learn(s, learner.example(s).trajectory, s.key), state)


def _gradient_step(config: TrainConfig, networks: Networks, algorithm: Algorithm) -> GradientStep:
    optimiser = config.optimiser
    actor_optimiser, critic_optimiser = (
        make_optimiser(
            rate, adam_epsilon=optimiser.adam_epsilon, max_grad_norm=optimiser.max_grad_norm
        )
        for rate in (optimiser.actor_learning_rate, optimiser.critic_learning_rate)
    )
    return GradientStep(
        networks=networks,
        actor_optimiser=actor_optimiser,
        critic_optimiser=critic_optimiser,
        entropy_coefficient=config.algorithm.entropy_coefficient,
        value_clip=config.value.clip,
        huber_delta=config.value.huber_delta,
        mask_dead=config.value.mask_dead,
        value_decay=config.value.decay if config.value.each_step else None,
        least_deviation=config.value.least_deviation,
        action_ratio=algorithm.ratio_of,
        live_range=algorithm.live_range,
    )


def _check_groups(config: TrainConfig, environment: Environment) -> None:
    if config.rollout.groups > 1 and not runs_on_host(environment):
        raise ConfigError(
            f"rollout.groups must be 1 for {config.env}, but is {config.rollout.groups}: JAX steps "
            "all its environments in one program. Groups are for engines outside of JAX."
        )
