"""Collecting experience from environments that are stepped outside of JAX.

One compiled call decides for all agents in all environments; the experience is written once, into
the arrays that the update then reads.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from opspo.environments.base import EnvironmentSpec, HostBatch, Observation, Step
from opspo.policies.team import Team
from opspo.rollout import scan
from opspo.rollout.scan import View
from opspo.types import Array, Params, RolloutState, Trajectory


def blank(spec: EnvironmentSpec, team: Team, num_envs: int) -> RolloutState:
    """A state of the right shapes, before the first reset."""
    agents = (num_envs, spec.num_agents)
    return RolloutState(
        environment=(),
        observation=Observation(
            observation=jnp.zeros((*agents, spec.observation_size)),
            state=jnp.zeros((num_envs, spec.state_size)),
            available_actions=(
                jnp.ones((*agents, spec.num_actions), bool) if spec.num_actions else None
            ),
            alive=jnp.ones(agents, bool),
        ),
        memory=team.initial_memory(num_envs),
        first=jnp.ones(num_envs, bool),
        episode_return=jnp.zeros(num_envs),
        episode_length=jnp.zeros(num_envs, jnp.int32),
    )


def start(state: RolloutState, environments: HostBatch) -> RolloutState:
    """Every environment at the start of an episode; used at the start and after a resume."""
    fresh: RolloutState = state.replace(  # type: ignore[attr-defined]
        observation=environments.reset(),
        first=np.ones_like(state.first),
        episode_return=np.zeros_like(state.episode_return),
        episode_length=np.zeros_like(state.episode_length),
    )
    return fresh


def blank_trajectory(
    team: Team, params: Params, state: RolloutState, *, num_steps: int, view: View
) -> Trajectory:
    """A trajectory of the right shapes, to compile with."""
    key = jax.random.PRNGKey(0)
    action, log_prob, _ = scan.act(team, params, state, key)
    num_envs = state.first.shape[0]
    no = jnp.zeros(num_envs, bool)
    step = Step(state.observation, jnp.zeros(num_envs), no, no, no)
    row = scan.record(state, action, log_prob, step, state, view)
    return jax.tree.map(lambda x: jnp.zeros((num_steps, *x.shape), x.dtype), row)


class HostRollout:
    """A batch of environments and the compiled decision, kept from iteration to iteration."""

    def __init__(self, environments: HostBatch, team: Team, *, num_steps: int, view: View) -> None:
        self.environments = environments
        self._num_steps = num_steps
        self._view = view
        self._act = jax.jit(partial(_decide, team))

    def collect(
        self, params: Params, state: RolloutState, key: Array
    ) -> tuple[RolloutState, Trajectory]:
        """`num_steps` steps of every environment; see `scan.collect`."""
        out: Trajectory | None = None
        for t in range(self._num_steps):
            action, log_prob, memory = self._act(params, state, key, t)
            step, following = self.environments.step(np.asarray(action))
            after, ended = _advance(state, step, following, memory)
            row = scan.record(state, action, log_prob, step, ended, self._view)
            if out is None:
                out = jax.tree.map(partial(_buffer, self._num_steps), row)
            jax.tree.map(partial(_put, t), out, row)
            state = after
        assert out is not None
        return state, out


def _decide(
    team: Team, params: Params, state: RolloutState, key: Array, t: Array
) -> tuple[Array, Array, Array]:
    return scan.act(team, params, state, jax.random.fold_in(key, t))


def _advance(
    state: RolloutState, step: Step, following: Observation, memory: Array
) -> tuple[RolloutState, RolloutState]:
    """The state to go on from, and the one before resets with the statistics of the episodes."""
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


def _buffer(num_steps: int, x: Any) -> np.ndarray:
    return np.empty((num_steps, *x.shape), x.dtype)


def _put(t: int, buffer: np.ndarray, x: Any) -> None:
    buffer[t] = x
