"""An iteration ready to run: compiled, and with the engine started where that is not JAX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

from opspo.environments.base import HostBatch, runs_on_host
from opspo.learner import Learner, keys_of
from opspo.rollout import host
from opspo.types import TrainState

Iteration = Callable[[TrainState], tuple[TrainState, dict[str, Any]]]
"""As `Learner.iterate`; the state that it is given is used up."""


@contextmanager
def ready(learner: Learner, state: TrainState) -> Iterator[Iteration]:
    """The iteration to go on with from a state.

    A JAX environment is part of the state. Any other starts new episodes here, with a seed that
    neither this run nor its evaluations have used before.
    """
    environment = learner.environment
    if not runs_on_host(environment):
        yield jax.jit(learner.iterate, donate_argnums=0)
        return
    config = learner.config
    seed = np.random.SeedSequence((config.seed, int(state.iteration))).generate_state(1)[0]
    environments = environment.open(config.rollout.num_envs, int(seed) % 2**31)
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
