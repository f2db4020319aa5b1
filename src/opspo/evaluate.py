"""Playing whole episodes with a policy, in one compiled program.

Every episode has its own keys, `episode_keys(seed, episode)`, so what happens in it does not
depend on how many others are played; `Policy.act` in a plain Python loop plays the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from opspo.environments.base import (
    Environment,
    HostEnvironment,
    JaxEnvironment,
    Observation,
    runs_on_host,
)
from opspo.policies.team import Team
from opspo.types import Array, Params

SIDE_BY_SIDE = 16
"""Most environments that an evaluation outside of JAX opens; each may be a process of its own"""


@dataclass(frozen=True)
class Evaluation:
    """What each episode came to."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    wins: tuple[bool, ...] | None
    """None where the environment has no winning"""
    outcomes: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """the environment's further numbers, by name"""

    def summary(self) -> dict[str, Any]:
        """As JSON: the means, then each episode's."""
        count = len(self.returns)
        means: dict[str, Any] = {
            "episodes": count,
            "mean_return": sum(self.returns) / count,
            "mean_length": sum(self.lengths) / count,
        }
        if self.wins is not None:
            means["win_rate"] = sum(self.wins) / count
        each: dict[str, Any] = {"returns": list(self.returns), "lengths": list(self.lengths)}
        if self.wins is not None:
            each["wins"] = list(self.wins)
        for name, values in self.outcomes.items():
            means[name] = sum(values) / count
        if self.outcomes:
            each["outcomes"] = {name: list(values) for name, values in self.outcomes.items()}
        return means | each


def episode_keys(seed: Array | int, episode: Array | int) -> tuple[Array, Array]:
    """The key of an episode's reset, and the key that `step_keys` draws from."""
    reset_key, play_key = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(seed), episode))
    return reset_key, play_key


def step_keys(play_key: Array, step: Array | int) -> tuple[Array, Array]:
    """The keys of the agents' draw and of the environment's at a step of an episode."""
    act_key, environment_key = jax.random.split(jax.random.fold_in(play_key, step))
    return act_key, environment_key


def decide(
    team: Team,
    params: Params,
    observation: Observation,
    memory: Array,
    key: Array,
    *,
    greedy: bool,
) -> tuple[Array, Array]:
    """Actions [N, ...] of one team for one observation, and its memory [N, h] after it."""
    output, memory = team.unroll(
        params, observation.observation[None, None], memory[None], jnp.zeros((1, 1), bool)
    )
    output, available = output[0, 0], observation.available_actions
    if greedy:
        return team.distribution.mode(output, available), memory[0]
    return team.distribution.sample(key, output, available), memory[0]


def _play(
    environment: JaxEnvironment,
    team: Team,
    greedy: bool,
    params: Params,
    seed: Array,
    index: Array,
) -> tuple[Array, Array, Array, dict[str, Array]]:
    """Return, length, win and outcomes of one episode."""
    reset_key, play_key = episode_keys(seed, index)
    state, observation = environment.reset(reset_key)
    no = jnp.array(False)
    nothing = {name: jnp.zeros(()) for name in environment.spec.outcomes}
    begun = (state, observation, team.initial_memory())
    start = (*begun, jnp.zeros(()), jnp.array(0), no, no, nothing)

    def going(carry: Any) -> Array:
        return ~carry[5]

    def step(carry: Any) -> Any:
        state, observation, memory, total, length, *_ = carry
        act_key, environment_key = step_keys(play_key, length)
        action, memory = decide(team, params, observation, memory, act_key, greedy=greedy)
        state, out = environment.step(environment_key, state, action)
        done = out.terminated | out.truncated
        after = (state, out.observation, memory, total + out.reward, length + 1)
        return *after, done, out.win, out.outcome

    *_, total, length, _, win, outcome = jax.lax.while_loop(going, step, start)
    return total, length, win, outcome


def _play_all(
    play: Callable[[Params, int, Array], Any],
    has_win: bool,
    episodes: int,
    params: Params,
    seed: int,
) -> Evaluation:
    """Episodes of a JAX environment, all in one call."""
    returns, lengths, wins, outcomes = jax.device_get(play(params, seed, jnp.arange(episodes)))
    return Evaluation(
        returns=tuple(returns.tolist()),
        lengths=tuple(lengths.tolist()),
        wins=tuple(wins.tolist()) if has_win else None,
        outcomes={name: tuple(values.tolist()) for name, values in outcomes.items()},
    )


def play_on_host(
    environment: HostEnvironment,
    team: Team,
    decide_all: Callable[..., tuple[Array, Array]],
    episodes: int,
    params: Params,
    seed: int,
) -> Evaluation:
    """Episodes outside of JAX, at most `SIDE_BY_SIDE` at a time; lost ones are played again.

    How many each environment plays is fixed beforehand: taking whatever ends first would prefer
    short episodes.
    """
    num_envs = min(episodes, SIDE_BY_SIDE)
    left = episodes // num_envs + (np.arange(num_envs) < episodes % num_envs)
    total, length = np.zeros(num_envs), np.zeros(num_envs, int)
    played: list[tuple[float, ...]] = []
    names = environment.spec.outcomes
    environments = environment.open(num_envs, seed)
    try:
        seen, fresh = environments.reset(), team.initial_memory(num_envs)
        memory, key, t = fresh, jax.random.PRNGKey(seed), 0
        while left.any():
            keys = jax.random.split(jax.random.fold_in(key, t), num_envs)
            action, memory = decide_all(params, seen, memory, keys)
            step, seen = environments.step(np.asarray(action))
            total, length, t = total + step.reward, length + 1, t + 1
            done = np.asarray(step.terminated | step.truncated)
            counts = done & (left > 0)
            if step.lost is not None:
                counts &= ~np.asarray(step.lost)
            for i in np.flatnonzero(counts):
                further = (float(step.outcome[name][i]) for name in names)
                played.append((float(total[i]), int(length[i]), bool(step.win[i]), *further))
            left = left - counts
            total, length = np.where(done, 0, total), np.where(done, 0, length)
            memory = jnp.where(done[:, None, None], fresh, memory)
    finally:
        environments.close()
    returns, lengths, wins, *outcomes = zip(*played, strict=True)
    return Evaluation(
        returns=tuple(returns),
        lengths=tuple(map(int, lengths)),
        wins=tuple(map(bool, wins)) if environment.spec.has_win else None,
        outcomes=dict(zip(names, outcomes, strict=True)),
    )


def make_evaluator(
    environment: Environment, team: Team, *, episodes: int, greedy: bool
) -> Callable[[Params, int], Evaluation]:
    """A function (actor parameters, seed) → `Evaluation` of that many episodes.

    Compiled at its first call.
    """
    if runs_on_host(environment):
        decide_all = jax.vmap(partial(decide, team, greedy=greedy), in_axes=(None, 0, 0, 0))
        return partial(play_on_host, environment, team, jax.jit(decide_all), episodes)
    one = jax.vmap(partial(_play, environment, team, greedy), in_axes=(None, None, 0))
    return partial(_play_all, jax.jit(one), environment.spec.has_win, episodes)
