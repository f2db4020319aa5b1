"""Collecting experience from environments that are stepped outside of JAX.

One compiled call decides for all agents in all environments of a group. The experience is written
once, into the arrays that the update reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from threading import Event, Lock
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from opspo.environments.base import (
    EnvironmentSpec,
    HostBatch,
    HostEnvironment,
    Observation,
    Step,
)
from opspo.environments.seeding import spread
from opspo.policies.team import Team
from opspo.rollout import scan
from opspo.rollout.scan import View
from opspo.types import Array, Params, RolloutState, Trajectory


def blank(spec: EnvironmentSpec, team: Team, num_envs: int) -> RolloutState:
    """A rollout state with the right shapes, for use before the first reset."""
    agents = (num_envs, spec.num_agents)
    return RolloutState(
        environment=(),
        observation=Observation(
            observation=jnp.zeros((*agents, spec.observation_size)),
            state=jnp.zeros((num_envs, spec.state_size)),
            available_actions=(
                jnp.ones((*agents, *spec.choices), bool) if spec.num_actions else None
            ),
            alive=jnp.ones(agents, bool),
        ),
        memory=team.initial_memory(num_envs),
        first=jnp.ones(num_envs, bool),
        episode_return=jnp.zeros(num_envs),
        episode_length=jnp.zeros(num_envs, jnp.int32),
    )


@contextmanager
def opened(
    environment: HostEnvironment, num_envs: int, *, groups: int, seed: int
) -> Iterator[tuple[HostBatch, ...]]:
    """Start the engine, with its environments in equal groups of `num_envs / groups`.

    Each group has its own seed, drawn from `seed`; all are closed at the end of the block.
    """
    with ExitStack() as stack:
        yield tuple(
            stack.enter_context(closing(environment.open(num_envs // groups, own)))
            for own in spread(seed, groups)
        )


def start(state: RolloutState, groups: Sequence[HostBatch]) -> RolloutState:
    """Reset every environment; used at the start of training and after a resume."""
    with ThreadPoolExecutor(len(groups)) as threads:  # an engine may take a minute to start
        observation = list(threads.map(lambda group: group.reset(), groups))
    fresh: RolloutState = state.replace(  # type: ignore[attr-defined]
        observation=_join(observation),
        first=np.ones_like(state.first),
        episode_return=np.zeros_like(state.episode_return),
        episode_length=np.zeros_like(state.episode_length),
    )
    return fresh


def blank_trajectory(
    team: Team, params: Params, state: RolloutState, *, num_steps: int, view: View
) -> Trajectory:
    """A trajectory [T, E, ...] of zeros with the right shapes, to compile with."""
    key = jax.random.PRNGKey(0)
    action, log_prob, _ = scan.act(team, params, state, key)
    num_envs = state.first.shape[0]
    no = jnp.zeros(num_envs, bool)
    step = Step(state.observation, jnp.zeros(num_envs), no, no, no)
    row = scan.record(state, action, log_prob, step, state, view)
    return jax.tree.map(lambda x: jnp.zeros((num_steps, *x.shape), x.dtype), row)


class HostRollout:
    """Groups of environments and the compiled decision, kept across iterations.

    The caller's thread steps the first group and each further group has its own thread, so one
    group's actions are computed while others step.
    """

    def __init__(
        self, groups: Sequence[HostBatch], team: Team, *, num_steps: int, view: View
    ) -> None:
        self._groups = groups
        self._num_steps = num_steps
        self._view = view
        self._act = jax.jit(partial(_decide, team))

    def collect(
        self, params: Params, state: RolloutState, key: Array
    ) -> tuple[RolloutState, Trajectory]:
        """Collect `num_steps` steps of every environment; see `scan.collect`.

        An exception in one group, including an interruption, stops the others at their next step.
        """
        num_envs = len(state.first)
        record = _Record(self._num_steps, num_envs)
        size = num_envs // len(self._groups)
        parts = [slice(begin, begin + size) for begin in range(0, num_envs, size)]
        stop = Event()
        first, *others = (
            partial(self._collect, i, part, record, stop, params, state, key)
            for i, part in enumerate(parts)
        )
        with ThreadPoolExecutor(len(parts)) as threads, _setting(stop):
            begun = [threads.submit(other) for other in others]
            after = [first(), *(other.result() for other in begun)]
        return _join(after), record.whole

    def _collect(
        self,
        i: int,
        part: slice,
        record: _Record,
        stop: Event,
        params: Params,
        state: RolloutState,
        key: Array,
    ) -> RolloutState:
        """Step group i, which has the environments `part`, unless another group stops."""
        state = jax.tree.map(lambda x: x[part], state)
        with _setting(stop):
            for t in range(self._num_steps):
                if stop.is_set():
                    break
                # unique to this group and step
                number = i * self._num_steps + t
                action, log_prob, memory = self._act(params, state, key, number)
                step, following = self._groups[i].step(np.asarray(action))
                after, ended = _advance(state, step, following, memory)
                record.put(t, part, scan.record(state, action, log_prob, step, ended, self._view))
                state = after
        return state


@contextmanager
def _setting(stop: Event) -> Iterator[None]:
    """Set `stop` if the block raises."""
    try:
        yield
    except BaseException:
        stop.set()
        raise


class _Record:
    """The trajectory [T, E, ...] being filled. Its arrays are allocated at the first row."""

    def __init__(self, num_steps: int, num_envs: int) -> None:
        self._size = num_steps, num_envs
        self._lock = Lock()
        self._trajectory: Trajectory | None = None

    @property
    def whole(self) -> Trajectory:
        """The whole trajectory."""
        assert self._trajectory is not None
        return self._trajectory

    def put(self, t: int, part: slice, row: Trajectory) -> None:
        """Write step t of the environments `part`, arrays [E of the part, ...]."""
        with self._lock:
            if self._trajectory is None:
                self._trajectory = jax.tree.map(self._blank, row)
        for buffer, x in zip(jax.tree.leaves(self._trajectory), jax.tree.leaves(row), strict=True):
            buffer[t, part] = x

    def _blank(self, x: Any) -> np.ndarray:
        return np.empty((*self._size, *x.shape[1:]), x.dtype)


def _join(groups: Sequence[Any]) -> Any:
    """Concatenate the groups' environments on the leading axis of every array."""
    return jax.tree.map(lambda *parts: np.concatenate(parts), *groups)


def _decide(
    team: Team, params: Params, state: RolloutState, key: Array, number: Array
) -> tuple[Array, Array, Array]:
    return scan.act(team, params, state, jax.random.fold_in(key, number))


def _advance(
    state: RolloutState, step: Step, following: Observation, memory: Array
) -> tuple[RolloutState, RolloutState]:
    """The state to continue from, and the one before resets, with the episodes' statistics."""
    done = np.asarray(step.terminated | step.truncated)
    ended: Any = state
    ended = ended.replace(
        observation=step.observation,
        memory=memory,
        first=done,
        episode_return=np.asarray(state.episode_return) + step.reward,
        episode_length=np.asarray(state.episode_length) + 1,
    )
    after: RolloutState = ended.replace(
        observation=following,
        episode_return=np.where(done, np.float32(0), ended.episode_return),
        episode_length=np.where(done, np.int32(0), ended.episode_length),
    )
    return after, ended
