"""Timing the engine alone: environments under random available actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from opspo.bench.measure import Timing, time_call
from opspo.config import PolicyConfig
from opspo.environments.base import (
    Environment,
    EnvironmentSpec,
    HostBatch,
    JaxEnvironment,
    Observation,
    runs_on_host,
)
from opspo.policies.team import make_team
from opspo.rollout import scan
from opspo.types import Array, RolloutState


def time_engine(environment: Environment, num_envs: int, num_steps: int, rounds: int) -> Timing:
    """Time rounds of `num_steps` steps in each of `num_envs` environments."""
    with playing(environment, num_envs, num_steps) as play:
        return time_call(play, rounds)


@contextmanager
def playing(environment: Environment, num_envs: int, num_steps: int) -> Iterator[Callable[[], Any]]:
    """A function that plays `num_steps` steps of each environment, continuing at every call."""
    if not runs_on_host(environment):
        yield _in_jax(environment, num_envs, num_steps)
        return
    batch = environment.open(num_envs, 0)
    try:
        yield _on_host(batch, environment.spec, num_envs, num_steps)
    finally:
        batch.close()


def _in_jax(environment: JaxEnvironment, num_envs: int, num_steps: int) -> Callable[[], Any]:
    """Play all steps in one compiled scan, with the rollout's own step."""
    # the team only provides the recurrent state, which is empty here
    team = make_team(PolicyConfig(), environment.spec)
    begin = jax.jit(partial(scan.begin, environment, team, num_envs))

    def one(state: RolloutState, key: Array) -> tuple[RolloutState, None]:
        act_key, step_key = jax.random.split(key)
        action = _random_action(act_key, environment.spec, state.observation)
        state, *_ = scan.advance(environment, state, action, state.memory, step_key)
        return state, None

    @jax.jit
    def go(state: RolloutState, key: Array) -> RolloutState:
        return jax.lax.scan(one, state, jax.random.split(key, num_steps))[0]

    state, calls = begin(jax.random.PRNGKey(0)), 0

    def play() -> RolloutState:
        nonlocal state, calls
        calls += 1
        state = go(state, jax.random.PRNGKey(calls))
        return state

    return play


def _random_action(key: Array, spec: EnvironmentSpec, seen: Observation) -> Array:
    """Uniformly random available actions, int [E, N] or [E, N, D], or float [E, N, D]."""
    if seen.available_actions is None:
        return jax.random.uniform(key, (*seen.alive.shape, spec.action_size), minval=-1.0)
    return jax.random.categorical(key, jnp.where(seen.available_actions, 0.0, -jnp.inf))


def _on_host(
    batch: HostBatch, spec: EnvironmentSpec, num_envs: int, num_steps: int
) -> Callable[[], Any]:
    rng, seen = np.random.default_rng(0), batch.reset()

    def play() -> None:
        nonlocal seen
        for _ in range(num_steps):
            _, seen = batch.step(_random_action_on_host(rng, spec, seen, num_envs))

    return play


def _random_action_on_host(
    rng: np.random.Generator, spec: EnvironmentSpec, seen: Observation, num_envs: int
) -> np.ndarray:
    """Like `_random_action`, without a call into JAX at each step."""
    if seen.available_actions is None:
        size = (num_envs, spec.num_agents, spec.action_size)
        return rng.uniform(-1, 1, size).astype(np.float32)
    available = np.asarray(seen.available_actions)
    choice: np.ndarray = np.where(available, rng.uniform(size=available.shape), -1).argmax(-1)
    return choice
