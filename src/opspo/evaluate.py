"""Playing whole episodes with a policy, in one compiled program.

Every episode has its own keys, `episode_keys(seed, episode)`, so what happens in it does not
depend on how many others are played; `Policy.act` in a plain Python loop plays the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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

SIDE_BY_SIDE = 32
"""Most environments that an evaluation outside of JAX opens"""


@dataclass(frozen=True)
class Evaluation:
    """What each episode came to."""

    returns: tuple[float, ...]
    lengths: tuple[int, ...]
    wins: tuple[bool, ...] | None
    """None where the environment has no winning"""

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
) -> tuple[Array, Array, Array]:
    """Return, length and win of one episode."""
    reset_key, play_key = episode_keys(seed, index)
    state, observation = environment.reset(reset_key)
    no = jnp.array(False)
    start = (state, observation, team.initial_memory(), jnp.zeros(()), jnp.array(0), no, no)

    def going(carry: Any) -> Array:
        return ~carry[5]

    def step(carry: Any) -> Any:
        state, observation, memory, total, length, _, _ = carry
        act_key, environment_key = step_keys(play_key, length)
        action, memory = decide(team, params, observation, memory, act_key, greedy=greedy)
        state, out = environment.step(environment_key, state, action)
        done = out.terminated | out.truncated
        return state, out.observation, memory, total + out.reward, length + 1, done, out.win

    *_, total, length, _, win = jax.lax.while_loop(going, step, start)
    return total, length, win


def _play_all(
    play: Callable[[Params, int, Array], Any], episodes: int, params: Params, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns, lengths and wins."""
    played: tuple[np.ndarray, np.ndarray, np.ndarray] = jax.device_get(
        play(params, seed, jnp.arange(episodes))
    )
    return played


def play_on_host(
    environment: HostEnvironment,
    team: Team,
    decide_all: Callable[..., tuple[Array, Array]],
    episodes: int,
    params: Params,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns, lengths and wins of episodes outside of JAX, at most `SIDE_BY_SIDE` at a time.

    How many each environment plays is fixed beforehand: taking whatever ends first would prefer
    short episodes.
    """
    num_envs = min(episodes, SIDE_BY_SIDE)
    left = episodes // num_envs + (np.arange(num_envs) < episodes % num_envs)
    total, length = np.zeros(num_envs), np.zeros(num_envs, int)
    played: list[tuple[float, int, bool]] = []
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
            for i in np.flatnonzero(done & (left > 0)):
                played.append((float(total[i]), int(length[i]), bool(step.win[i])))
            left = left - (done & (left > 0))
            total, length = np.where(done, 0, total), np.where(done, 0, length)
            memory = jnp.where(done[:, None, None], fresh, memory)
    finally:
        environments.close()
    returns, lengths, wins = map(np.array, zip(*played, strict=True))
    return returns, lengths, wins


def make_evaluator(
    environment: Environment, team: Team, *, episodes: int, greedy: bool
) -> Callable[[Params, int], Evaluation]:
    """A function (actor parameters, seed) → `Evaluation` of that many episodes.

    Compiled at its first call.
    """
    if runs_on_host(environment):
        decide_all = jax.vmap(partial(decide, team, greedy=greedy), in_axes=(None, 0, 0, 0))
        play = partial(play_on_host, environment, team, jax.jit(decide_all), episodes)
    else:
        one = jax.vmap(partial(_play, environment, team, greedy), in_axes=(None, None, 0))
        play = partial(_play_all, jax.jit(one), episodes)

    def evaluate(params: Params, seed: int) -> Evaluation:
        returns, lengths, wins = play(params, seed)
        return Evaluation(
            returns=tuple(returns.tolist()),
            lengths=tuple(lengths.tolist()),
            wins=tuple(wins.tolist()) if environment.spec.has_win else None,
        )

    return evaluate
