"""An iteration ready to run: compiled, and with the engine started where that is not JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

from opspo.environments.base import HostBatch, runs_on_host
from opspo.learner import Learner, keys_of
from opspo.rollout import host
from opspo.types import TrainState

Iteration = Callable[[TrainState], tuple[TrainState, dict[str, Any]]]
"""As `Learner.iterate`; the state that it is given is used up."""


@contextmanager
def ready(learner: Learner, state: TrainState) -> Iterator[Iteration]:
    """The iteration to go on with from a state.

    A JAX environment is part of the state. Any other starts new episodes here, with a seed that a
    resumed run has not used before.
    """
    environment = learner.environment
    if not runs_on_host(environment):
        yield jax.jit(learner.iterate, donate_argnums=0)
        return
    config = learner.config
    environments = environment.open(config.rollout.num_envs, config.seed + int(state.iteration))
    try:
        yield _on_host(learner, environments)
    finally:
        environments.close()


def _on_host(learner: Learner, environments: HostBatch) -> Iteration:
    """Collect step by step, then learn in one compiled call."""
    rollout = host.HostRollout(
        environments,
        learner.team,
        num_steps=learner.config.rollout.num_steps,
        view=learner.critic.view,
    )
    keys = jax.jit(keys_of)
    finish = jax.jit(learner.finish, donate_argnums=0)
    begun = False

    def iterate(state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        nonlocal begun
        before = state.rollout if begun else host.start(state.rollout, environments)
        begun = True
        after, trajectory = rollout.collect(state.actor, before, keys(state).collect)
        state, metrics = finish(state, after, trajectory)
        return state, metrics | {"engine": {"lost_episodes": environments.lost_episodes}}

    return iterate
