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

from opspo.environments.base import JaxEnvironment, Observation
from opspo.policies.team import Team
from opspo.types import Array, Params


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


def make_evaluator(
    environment: JaxEnvironment, team: Team, *, episodes: int, greedy: bool
) -> Callable[[Params, int], Evaluation]:
    """A function (actor parameters, seed) → `Evaluation` of that many episodes.

    Compiled at its first call.
    """
    play = jax.jit(jax.vmap(partial(_play, environment, team, greedy), in_axes=(None, None, 0)))

    def evaluate(params: Params, seed: int) -> Evaluation:
        returns, lengths, wins = jax.device_get(play(params, seed, jnp.arange(episodes)))
        return Evaluation(
            returns=tuple(returns.tolist()),
            lengths=tuple(lengths.tolist()),
            wins=tuple(wins.tolist()) if environment.spec.has_win else None,
        )

    return evaluate
