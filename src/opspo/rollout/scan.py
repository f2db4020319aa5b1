"""Collecting experience from environments written in JAX, in one compiled scan."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from opspo.environments.base import JaxEnvironment, Observation, Step, strongly_typed
from opspo.policies.team import Team
from opspo.types import Array, Params, RolloutState, Trajectory

View = Callable[[Observation], Array]
"""(observation) → what the critic sees, [E, M, s]"""


def begin(environment: JaxEnvironment, team: Team, num_envs: int, key: Array) -> RolloutState:
    """Reset `num_envs` environments; return the first rollout state."""
    state, observation = jax.vmap(environment.reset)(jax.random.split(key, num_envs))
    return RolloutState(
        environment=strongly_typed(state),
        observation=observation,
        memory=team.initial_memory(num_envs),
        first=jnp.ones(num_envs, bool),
        episode_return=jnp.zeros(num_envs),
        episode_length=jnp.zeros(num_envs, jnp.int32),
    )


def act(team: Team, params: Params, state: RolloutState, key: Array) -> tuple[Array, Array, Array]:
    """Sample one action for every agent in every environment.

    Returns:
        Actions [E, N] or [E, N, D], their log-probabilities [E, N, D], and the recurrent state
        after the step [E, N, h].
    """
    seen = state.observation
    output, memory = team.unroll(params, seen.observation[None], state.memory, state.first[None])
    output, available = output[0], seen.available_actions
    action = team.distribution.sample(key, output, available)
    return action, team.distribution.log_prob(output, action, available), memory


def advance(
    environment: JaxEnvironment, state: RolloutState, action: Array, memory: Array, key: Array
) -> tuple[RolloutState, Step, RolloutState]:
    """Step every environment and reset those whose episode ended.

    Episodes are truncated at the specification's limit even if the environment does not do so.

    Args:
        environment: the environment.
        state: the state before the step.
        action: [E, N] or [E, N, D].
        memory: [E, N, h] the actors' recurrent state after the step.
        key: for the steps and resets.

    Returns:
        The state to continue from; the outcome of the action, before resets; and the state before
        resets, with the statistics of episodes that just ended.
    """
    num_envs = state.first.shape[0]
    step_key, reset_key = jax.random.split(key)
    environment_state, step = jax.vmap(environment.step)(
        jax.random.split(step_key, num_envs), state.environment, action
    )
    length, limit = state.episode_length + 1, environment.spec.episode_limit
    if limit:  # even if the environment does not check it
        cut = (length >= limit) & ~step.terminated
        step = step.replace(truncated=step.truncated | cut)  # type: ignore[attr-defined]
    done = step.terminated | step.truncated
    ended = RolloutState(
        environment=environment_state,
        observation=step.observation,
        memory=memory,
        first=done,
        episode_return=state.episode_return + step.reward,
        episode_length=length,
    )
    fresh_state, fresh = jax.vmap(environment.reset)(jax.random.split(reset_key, num_envs))

    def where_done(new: Array, old: Array) -> Array:
        return jnp.where(done.reshape(done.shape + (1,) * (old.ndim - 1)), new, old)

    going_on = ended.replace(  # type: ignore[attr-defined]
        environment=jax.tree.map(where_done, fresh_state, environment_state),
        observation=jax.tree.map(where_done, fresh, step.observation),
        episode_return=jnp.where(done, 0.0, ended.episode_return),
        episode_length=jnp.where(done, 0, ended.episode_length),
    )
    return going_on, step, ended


def record(
    state: RolloutState, action: Array, log_prob: Array, step: Step, ended: RolloutState, view: View
) -> Trajectory:
    """One step of every environment as a row of the trajectory, with arrays [E, ...].

    Args:
        state: before the step.
        action: [E, N] or [E, N, D], the joint actions.
        log_prob: [E, N, D], their log-probabilities.
        step: the outcome.
        ended: the state before resets; see `advance`.
        view: selects what the critic sees.
    """
    seen: Observation = state.observation
    return Trajectory(
        observation=seen.observation,
        state=view(seen),
        next_state=view(step.observation),
        available_actions=seen.available_actions,
        action=action,
        log_prob=log_prob,
        alive=seen.alive,
        first=state.first,
        memory=state.memory,
        reward=step.reward,
        terminated=step.terminated,
        truncated=step.truncated,
        episode_return=ended.episode_return,
        episode_length=ended.episode_length,
        win=step.win,
        lost=step.lost,
        outcome=step.outcome,
    )


def collect(
    environment: JaxEnvironment,
    team: Team,
    params: Params,
    state: RolloutState,
    key: Array,
    *,
    num_steps: int,
    view: View,
) -> tuple[RolloutState, Trajectory]:
    """Collect `num_steps` steps of every environment under the sampled policy.

    Args:
        environment: the environment.
        team: the actors.
        params: their parameters.
        state: where the environments stand.
        key: for actions, steps and resets.
        num_steps: T.
        view: selects what the critic sees, [E, M, s].

    Returns:
        The state to continue from, and the trajectory [T, E, ...].
    """

    def one(state: RolloutState, key: Array) -> tuple[RolloutState, Trajectory]:
        act_key, step_key = jax.random.split(key)
        action, log_prob, memory = act(team, params, state, act_key)
        after, step, ended = advance(environment, state, action, memory, step_key)
        return after, record(state, action, log_prob, step, ended, view)

    return jax.lax.scan(one, state, jax.random.split(key, num_steps))
