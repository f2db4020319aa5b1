"""Playing a stream of steps with given policies, whatever the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

from opspo.environments.base import runs_on_host
from opspo.rollout import host, scan
from opspo.training.learner import Learner
from opspo.types import Params, Trajectory

Play = Callable[[Params], Trajectory]
"""Actors' parameters → the stream's next steps [T, E, …]"""


@contextmanager
def playing(learner: Learner, *, num_steps: int, seed: int) -> Iterator[Play]:
    """A stream of steps that begins with new episodes and goes on from call to call.

    Args:
        learner: of the run; its environment and number of environments.
        num_steps: T, steps of each environment in a call.
        seed: of the episodes and the actions.
    """
    key = jax.random.PRNGKey(seed)
    if runs_on_host(learner.environment):
        with _on_host(learner, num_steps, seed, key) as play:
            yield play
    else:
        yield _in_jax(learner, num_steps, key)


def _in_jax(learner: Learner, num_steps: int, key: jax.Array) -> Play:
    environment, team = learner.environment, learner.team
    begin_key, key = jax.random.split(key)
    state: Any = jax.jit(
        lambda key: scan.begin(environment, team, learner.config.rollout.num_envs, key)  # type: ignore[arg-type]
    )(begin_key)

    @jax.jit
    def collect(actor: Params, state: Any, key: jax.Array) -> Any:
        return scan.collect(
            environment,  # type: ignore[arg-type]
            team,
            actor,
            state,
            key,
            num_steps=num_steps,
            view=learner.critic.view,
        )

    def play(actor: Params) -> Trajectory:
        nonlocal state, key
        key, now = jax.random.split(key)
        state, trajectory = collect(actor, state, now)
        return trajectory

    return play


@contextmanager
def _on_host(learner: Learner, num_steps: int, seed: int, key: jax.Array) -> Iterator[Play]:
    environment, size = learner.environment, learner.config.rollout
    state: Any = jax.device_get(host.blank(environment.spec, learner.team, size.num_envs))
    with host.opened(
        environment,  # type: ignore[arg-type]
        size.num_envs,
        groups=size.groups,
        seed=seed,
    ) as groups:
        rollout = host.HostRollout(
            groups, learner.team, num_steps=num_steps, view=learner.critic.view
        )
        state = host.start(state, groups)

        def play(actor: Params) -> Trajectory:
            nonlocal state, key
            key, now = jax.random.split(key)
            state, trajectory = rollout.collect(actor, state, now)
            return trajectory

        yield play
