"""An iteration that is ready to run: compiled, and with any engine outside of JAX started."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from opspo.devices import AXIS, Layout, compiler_options, layout
from opspo.environments.base import HostBatch, runs_on_host
from opspo.rollout import host
from opspo.training.learner import Learner, keys_of
from opspo.types import TrainState

Iteration = Callable[[TrainState], tuple[TrainState, dict[str, Any]]]
"""Like `Learner.iterate`. The state passed in survives an exception in the environment; with an
engine outside of JAX, its buffers are donated to the update."""


@contextmanager
def ready(learner: Learner, state: TrainState) -> Iterator[tuple[TrainState, Iteration]]:
    """Place a state on the devices; return it with the iteration that continues from it.

    A JAX environment is part of the state. Any other environment starts new episodes here, with a
    seed that neither this run nor its evaluations have used before.
    """
    environment, config = learner.environment, learner.config
    where = layout(config.devices)
    learner = learner.divided(where.mesh)
    state = jax.device_put(state, where.state)
    # left to the compiler, the new state might be placed differently and the next call recompile
    out_shardings = where.state, where.everywhere
    if not runs_on_host(environment):
        yield (
            state,
            jax.jit(
                learner.iterate,
                out_shardings=out_shardings,
                compiler_options=compiler_options(),
            ),
        )
        return
    seed = np.random.SeedSequence((config.seed, int(state.iteration))).generate_state(1)[0]
    size = config.rollout
    with host.opened(
        environment, size.num_envs, groups=size.groups, seed=int(seed) % 2**31
    ) as groups:
        yield state, _on_host(learner, groups, where)


def ready_together(learner: Learner, states: Sequence[TrainState]) -> tuple[TrainState, Iteration]:
    """Like `ready`, for several states of a JAX environment in one program.

    The states are stacked on a new first axis, which is divided over the devices. They are
    independent, so each device runs its own one after another.
    """
    where = layout(learner.config.devices)
    stacked = jax.tree.map(lambda *each: jnp.stack(each), *states)

    def of_one_device(part: TrainState) -> tuple[TrainState, dict[str, Any]]:
        # not `vmap`, which is slower on a CPU
        iterated: tuple[TrainState, dict[str, Any]] = jax.lax.map(learner.iterate, part)
        return iterated

    iterate = jax.shard_map(
        of_one_device,
        mesh=where.mesh,
        in_specs=PartitionSpec(AXIS),
        out_specs=PartitionSpec(AXIS),
        check_vma=False,
    )
    compiled = jax.jit(
        iterate,
        out_shardings=where.divided,
        compiler_options=compiler_options(),
    )
    return jax.device_put(stacked, where.divided), compiled


def _on_host(learner: Learner, groups: Sequence[HostBatch], where: Layout) -> Iteration:
    """An iteration that collects step by step, then learns in one compiled call."""
    rollout = host.HostRollout(
        groups,
        learner.team,
        num_steps=learner.config.rollout.num_steps,
        view=learner.critic.view,
    )
    keys = jax.jit(keys_of)
    finish = jax.jit(
        learner.finish,
        donate_argnums=0,
        out_shardings=(where.state, where.everywhere),
        compiler_options=compiler_options(),
    )
    begun = False

    def iterate(state: TrainState) -> tuple[TrainState, dict[str, Any]]:
        nonlocal begun
        before = jax.device_get(state.rollout)  # NumPy, as later steps have: compiles only once
        if not begun:
            before = host.start(before, groups)
            begun = True
        collected = rollout.collect(state.actor, before, keys(state).collect)
        # read before learning, which consumes the state: the environment may raise here too
        lost = sum(group.lost_episodes for group in groups)
        after, trajectory = jax.device_put(collected, (where.divided, where.trajectory))
        state, metrics = finish(state, after, trajectory)
        return state, metrics | {"engine": {"lost_episodes": lost}}

    return iterate
