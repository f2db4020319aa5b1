"""Playing whole episodes with a policy, in JAX in one compiled program.

In JAX, every episode has its own keys, `episode_keys(seed, episode)`, so it does not depend on how
many others are played; `Policy.act` in a plain Python loop plays the same episode.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from opspo.config import EvaluationConfig
from opspo.environments.base import (
    Environment,
    EnvironmentSpec,
    HostEnvironment,
    JaxEnvironment,
    Observation,
    runs_on_host,
)
from opspo.policies.team import Team
from opspo.types import Array, Params

SLICE = 1000
"""Steps per compiled call in an evaluation in JAX; no signal can interrupt such a call"""
SIDE_BY_SIDE = 16
"""Maximum number of environments that an evaluation outside of JAX opens; each may be a process"""


@dataclass(frozen=True)
class Evaluation:
    """The results of each episode of an evaluation."""

    returns: tuple[float, ...]
    """Undiscounted"""
    lengths: tuple[int, ...]
    """In steps"""
    wins: tuple[bool, ...] | None
    """None if episodes are not won or lost"""
    outcomes: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """The environment's further numbers, by name"""

    @property
    def mean_return(self) -> float:
        """Mean over the episodes."""
        return sum(self.returns) / len(self.returns)

    def summary(self) -> dict[str, Any]:
        """As JSON: means, then lists over the episodes; non-finite numbers are null."""
        count = len(self.returns)
        means: dict[str, Any] = {
            "episodes": count,
            "mean_return": finite(self.mean_return),
            "mean_length": sum(self.lengths) / count,
        }
        if self.wins is not None:
            means["win_rate"] = sum(self.wins) / count
        each: dict[str, Any] = {
            "returns": [finite(value) for value in self.returns],
            "lengths": list(self.lengths),
        }
        if self.wins is not None:
            each["wins"] = list(self.wins)
        for name, values in self.outcomes.items():
            means[name] = finite(sum(values) / count)
        if self.outcomes:
            each["outcomes"] = {
                name: [finite(value) for value in values] for name, values in self.outcomes.items()
            }
        return means | each

    @classmethod
    def of_summary(cls, row: Mapping[str, Any]) -> Evaluation:
        """The inverse of `summary`; null becomes NaN."""
        wins, outcomes = row.get("wins"), row.get("outcomes", {})
        return cls(
            returns=_numbers(row["returns"]),
            lengths=tuple(row["lengths"]),
            wins=None if wins is None else tuple(wins),
            outcomes={name: _numbers(values) for name, values in outcomes.items()},
        )


def _numbers(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else value for value in values)


def finite(value: float) -> float | None:
    """The value, or None if it is not finite, which JSON cannot represent."""
    return value if math.isfinite(value) else None


def episode_keys(seed: Array | int, episode: Array | int) -> tuple[Array, Array]:
    """The key of an episode's reset, and the key for `step_keys`."""
    reset_key, play_key = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(seed), episode))
    return reset_key, play_key


def step_keys(play_key: Array, step: Array | int) -> tuple[Array, Array]:
    """The keys for sampling actions and for the environment at a step of an episode."""
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
    """Actions [N] or [N, D] of one team, and its recurrent state [N, h] after the step.

    `observation` has no batch axis; `memory` [N, h] is the recurrent state before the step.
    """
    output, memory = team.unroll(
        params, observation.observation[None, None], memory[None], jnp.zeros((1, 1), bool)
    )
    output, available = output[0, 0], observation.available_actions
    if greedy:
        return team.distribution.mode(output, available), memory[0]
    return team.distribution.sample(key, output, available), memory[0]


@struct.dataclass
class _Episode:
    """The current state of an episode."""

    state: Any
    observation: Observation
    memory: Array
    key: Array
    """For `step_keys`"""
    total: Array
    length: Array
    done: Array
    win: Array
    outcome: dict[str, Array]


def _begin(environment: JaxEnvironment, team: Team, seed: Array, index: Array) -> _Episode:
    reset_key, play_key = episode_keys(seed, index)
    state, observation = environment.reset(reset_key)
    no = jnp.array(False)
    return _Episode(
        state=state,
        observation=observation,
        memory=team.initial_memory(),
        key=play_key,
        total=jnp.zeros(()),
        length=jnp.array(0),
        done=no,
        win=no,
        outcome={name: jnp.zeros(()) for name in environment.spec.outcomes},
    )


def _go_on(
    environment: JaxEnvironment,
    team: Team,
    greedy: bool,
    limit: int,
    params: Params,
    episode: _Episode,
    until: Array,
) -> _Episode:
    """Play up to step `until` or the end of the episode."""

    def going(now: _Episode) -> Array:
        return ~now.done & (now.length < until)

    def step(now: _Episode) -> _Episode:
        act_key, environment_key = step_keys(now.key, now.length)
        action, memory = decide(team, params, now.observation, now.memory, act_key, greedy=greedy)
        state, out = environment.step(environment_key, now.state, action)
        length = now.length + 1
        return _Episode(
            state=state,
            observation=out.observation,
            memory=memory,
            key=now.key,
            total=now.total + out.reward,
            length=length,
            done=out.terminated | out.truncated | (length >= limit),
            win=out.win,
            outcome=out.outcome,
        )

    return jax.lax.while_loop(going, step, episode)


def _play_in_jax(
    environment: JaxEnvironment, team: Team, *, episodes: int, greedy: bool, limit: int
) -> Callable[[Params, int], Evaluation]:
    """Play episodes of a JAX environment in one batch, `SLICE` steps per call."""
    begin = jax.jit(jax.vmap(partial(_begin, environment, team), in_axes=(None, 0)))
    go_on = jax.jit(
        jax.vmap(partial(_go_on, environment, team, greedy, limit), in_axes=(None, 0, None))
    )

    def play(params: Params, seed: int) -> Evaluation:
        played, until = begin(seed, jnp.arange(episodes)), 0
        while not played.done.all():
            until += SLICE
            played = go_on(params, played, until)
        played = jax.device_get(played)
        return Evaluation(
            returns=tuple(played.total.tolist()),
            lengths=tuple(played.length.tolist()),
            wins=tuple(played.win.tolist()) if environment.spec.has_win else None,
            outcomes={name: tuple(values.tolist()) for name, values in played.outcome.items()},
        )

    return play


def play_on_host(
    environment: HostEnvironment,
    team: Team,
    decide_all: Callable[..., tuple[Array, Array]],
    episodes: int,
    limit: int,
    params: Params,
    seed: int,
) -> Evaluation:
    """Play episodes outside of JAX, at most `SIDE_BY_SIDE` at a time; lost ones are repeated.

    An episode that reaches the limit counts as ended, and the next one continues from there. The
    number of episodes that each environment plays is fixed beforehand, since taking whichever ends
    first would favour short episodes.
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
            done = np.asarray(step.terminated | step.truncated) | (length >= limit)
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


def limit_of(spec: EnvironmentSpec, otherwise: int) -> int:
    """Steps after which an episode counts as ended: the environment's limit, or `otherwise`."""
    return spec.episode_limit or otherwise


def make_evaluator(
    environment: Environment,
    team: Team,
    *,
    episodes: int,
    greedy: bool,
    episode_limit: int = EvaluationConfig.episode_limit,
) -> Callable[[Params, int], Evaluation]:
    """Make a function (actor parameters, seed) → `Evaluation` of `episodes` episodes.

    It is compiled at its first call. `episode_limit` applies if the environment has no limit.
    """
    limit = limit_of(environment.spec, episode_limit)
    if runs_on_host(environment):
        decide_all = jax.vmap(partial(decide, team, greedy=greedy), in_axes=(None, 0, 0, 0))
        return partial(play_on_host, environment, team, jax.jit(decide_all), episodes, limit)
    return _play_in_jax(environment, team, episodes=episodes, greedy=greedy, limit=limit)
