"""Timing whole iterations, and the update alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from opspo.bench.flops import dot_flops
from opspo.bench.measure import Timing, time_call
from opspo.config import TrainConfig
from opspo.devices import compiler_options, layout
from opspo.environments.base import Environment, runs_on_host
from opspo.rollout import host, scan
from opspo.training.assembly import make_learner
from opspo.training.iteration import ready
from opspo.training.learner import Learner
from opspo.types import TrainState, Trajectory


def time_update(config: TrainConfig, environment: Environment, rounds: int) -> tuple[Timing, int]:
    """Time the update of one iteration, on one batch; also count its matrix products' FLOP."""
    learner, state = begin(config, environment)
    where = layout(config.devices)
    trajectory = jax.device_put(batch_of(learner, state), where.trajectory)
    state = jax.device_put(state, where.state)
    update = jax.jit(learner.divided(where.mesh).learn, compiler_options=compiler_options())
    timing = time_call(lambda: update(state, trajectory, state.key), rounds)
    return timing, flop(learner.learn, state, trajectory, state.key)


def time_iterations(
    config: TrainConfig, environment: Environment, rounds: int
) -> tuple[Timing, int]:
    """Time whole iterations, as in training; also count each one's matrix products' FLOP."""
    learner, state = begin(config, environment)
    with ready(learner, state) as (state, iterate):

        def once() -> Any:
            nonlocal state
            state, metrics = iterate(state)
            return state, metrics

        timing = time_call(once, rounds)
    # counted last: it traces, and tracing is part of the first call's time
    return timing, iteration_flop(learner, state)


def begin(config: TrainConfig, environment: Environment) -> tuple[Learner, TrainState]:
    """A learner and its initial state."""
    learner = make_learner(config, environment)
    return learner, jax.jit(learner.init, static_argnums=0)(config.seed)


def batch_of(learner: Learner, state: TrainState) -> Trajectory:
    """One iteration's experience under the initial policies."""
    if not runs_on_host(learner.environment):
        return jax.jit(lambda state: learner.collect(state, state.key)[1])(state)
    size = learner.config.rollout
    seed = learner.config.seed
    with host.opened(learner.environment, size.num_envs, groups=size.groups, seed=seed) as groups:
        rollout = host.HostRollout(
            groups, learner.team, num_steps=size.num_steps, view=learner.critic.view
        )
        start = host.start(state.rollout, groups)
        # copied to the device once, not in every round
        return jax.device_put(rollout.collect(state.actor, start, state.key)[1])


def flop(function: Callable[..., Any], *arguments: Any) -> int:
    """FLOP of a function's matrix products, for arguments of these shapes."""
    return dot_flops(jax.make_jaxpr(function)(*arguments))


def iteration_flop(learner: Learner, state: TrainState) -> int:
    """FLOP of an iteration's matrix products; an engine outside of JAX is not counted."""
    if not runs_on_host(learner.environment):
        return flop(learner.iterate, state)
    num_steps = learner.config.rollout.num_steps
    decision = flop(partial(scan.act, learner.team), state.actor, state.rollout, state.key)
    blank = partial(
        host.blank_trajectory, learner.team, num_steps=num_steps, view=learner.critic.view
    )
    trajectory = jax.eval_shape(blank, state.actor, state.rollout)
    return num_steps * decision + flop(learner.finish, state, state.rollout, trajectory)
