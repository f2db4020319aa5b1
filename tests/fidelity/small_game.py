"""A game of a few states as an environment, and its exact directions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from opspo.environments.base import EnvironmentSpec, Observation, Step

STATES, AGENTS, ACTIONS, END, GAMMA = 4, 2, 2, 0.1, 0.8


def tables(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Transitions [S, A, A, S] and rewards [S, A, A]."""
    rng = np.random.default_rng(seed)
    following = rng.dirichlet(np.full(STATES, 0.3), size=(STATES, ACTIONS, ACTIONS))
    return following, rng.normal(size=(STATES, ACTIONS, ACTIONS))


class SmallGame:
    """Episodes begin in any state and end after each step with probability `END`."""

    spec = EnvironmentSpec(
        name="own/small",
        num_agents=AGENTS,
        observation_size=STATES,
        state_size=STATES,
        num_actions=ACTIONS,
        episode_limit=1000,
        engine="own",
    )

    def __init__(self) -> None:
        self.following, self.reward = map(jnp.asarray, tables())

    def reset(self, key: Any) -> tuple[Any, Observation]:
        state = jax.random.randint(key, (), 0, STATES)
        return state, self._seen(state)

    def step(self, key: Any, state: Any, action: Any) -> tuple[Any, Step]:
        next_key, end_key = jax.random.split(key)
        first, second = action
        after = jax.random.categorical(next_key, jnp.log(self.following[state, first, second]))
        no = jnp.array(False)
        return after, Step(
            observation=self._seen(after),
            reward=self.reward[state, first, second].astype(jnp.float32),
            terminated=jax.random.uniform(end_key) < END,
            truncated=no,
            win=no,
        )

    def _seen(self, state: Any) -> Observation:
        one_hot = jax.nn.one_hot(state, STATES)
        return Observation(
            observation=jnp.tile(one_hot, (AGENTS, 1)),
            state=one_hot,
            available_actions=jnp.ones((AGENTS, ACTIONS), bool),
            alive=jnp.ones(AGENTS, bool),
        )


def log_policies(team: Any, params: Any) -> Any:
    """log π^i(a | s) [N, S, A] of a team's actors."""
    seen = jnp.tile(jnp.eye(STATES)[None, :, None], (1, 1, AGENTS, 1))
    output, _ = team.unroll(params, seen, team.initial_memory(STATES), jnp.ones((1, STATES), bool))
    return jnp.moveaxis(jax.nn.log_softmax(output[0]), 1, 0)


def joint(log_policy: Any) -> np.ndarray:
    """π(a | s) [S, A, A]."""
    first, second = np.exp(np.asarray(log_policy, float))
    return np.einsum("sa,sb->sab", first, second)


def visits(policy: np.ndarray) -> np.ndarray:
    """The share of steps in each state [S], over whole episodes."""
    following, _ = tables()
    moves = (1 - END) * np.einsum("sab,sabt->st", policy, following)
    found = np.linalg.solve(np.eye(STATES) - moves.T, np.full(STATES, 1 / STATES))
    return found / found.sum()


def advantage(policy: np.ndarray) -> np.ndarray:
    """A of a joint policy [S, A, A], discounted by γ."""
    following, reward = tables()
    keep = GAMMA * (1 - END)
    moves = np.einsum("sab,sabt->st", policy, following)
    mean = np.einsum("sab,sab->s", policy, reward)
    value = np.linalg.solve(np.eye(STATES) - keep * moves, mean)
    return reward + keep * following @ value - value[:, None, None]


def exact(team: Any, params: Any, agent: int, weight: np.ndarray) -> np.ndarray:
    """Σ_{s,a} weight(s, a) ∇ log π^i(a^i | s) [P], for a weight [S, A, A] that has it all."""
    own = jnp.asarray(weight.sum(2 - agent))

    def gain(member: Any) -> Any:
        all_params = team.replace(params, jnp.array([agent]), member)
        return (own * log_policies(team, all_params)[agent]).sum()

    gradient = jax.grad(gain)(team.select(params, jnp.array([agent])))
    return np.asarray(jax.flatten_util.ravel_pytree(gradient)[0])
