"""Several probes in one program, so that a whole row of the conformance table compiles once.

Which game is played is an argument of the compiled functions. All games of an arcade have one
size: observations are filled up with zeros, and actions that a game does not have are never
available.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from small import alike, small_config

from opspo.config import TrainConfig
from opspo.environments import make_env
from opspo.environments.base import EnvironmentSpec
from opspo.estimators.normalise import mean_and_deviation
from opspo.evaluate import _begin, _go_on
from opspo.training.assembly import make_learner
from opspo.training.learner import Learner

DISCRETE = ("credit", "truncation", "termination", "masks", "death", "memory", "coordination")
CONTINUOUS = ("continuous", "mortal")

NOBODY, THE_DEAD, THE_LIVING = 0, 1, 2
"""Whose observations are scrambled"""


def mortal():
    """The continuous probe with a second agent that dies after the first step."""
    probe = make_env("probe/continuous")

    def observe(state):
        seen = probe.observe(state)
        alive = jnp.array([True, False]) | (state["t"] == 0)
        return seen.replace(alive=alive, observation=seen.observation * alive[:, None])

    def update(state, action):
        target = (state["draw"] - 0.5)[:, None]
        return probe.update(state, jnp.where(observe(state).alive[:, None], action, target))

    return dataclasses.replace(probe, observe=observe, update=update)


def probe_of(name):
    return mortal() if name == "mortal" else make_env(f"probe/{name}")


def _fill(x, size, value=0):
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, size - x.shape[-1])], constant_values=value)


@dataclasses.dataclass(frozen=True, eq=False)
class Arcade:
    """An environment that is the game-th of some."""

    probes: tuple[Any, ...]
    game: jax.Array | int
    scrambled: jax.Array | int = NOBODY

    @property
    def spec(self) -> EnvironmentSpec:
        def largest(name):
            return max(getattr(probe.spec, name) for probe in self.probes)

        sizes = ("observation_size", "state_size", "num_actions", "action_size", "episode_limit")
        return EnvironmentSpec(
            name="probe/arcade", num_agents=2, **{name: largest(name) for name in sizes}
        )

    def _shown(self, seen):
        """In the size that all games share, and scrambled."""
        chosen = jnp.select(
            [self.scrambled == THE_DEAD, self.scrambled == THE_LIVING],
            [~seen.alive, seen.alive],
            jnp.zeros_like(seen.alive),
        )
        observation = _fill(seen.observation, self.spec.observation_size)
        available = seen.available_actions
        if available is not None:
            available = _fill(available | chosen[:, None], self.spec.num_actions, False)
        noise = jnp.cos(jnp.arange(observation.size) ** 2).reshape(observation.shape)
        return seen.replace(
            observation=jnp.where(chosen[:, None], noise, observation),
            state=_fill(seen.state, self.spec.state_size),
            available_actions=available,
        )

    def reset(self, key):
        starts = [probe.reset(key) for probe in self.probes]
        state = {name: value for start, _ in starts for name, value in start.items()}
        shown = [partial(lambda seen, _: self._shown(seen), seen) for _, seen in starts]
        return state, jax.lax.switch(self.game, shown, None)

    def step(self, key, state, action):
        def play(probe, state, action):
            state, step = probe.step(key, state, action)
            return state, step.replace(observation=self._shown(step.observation))

        return jax.lax.switch(self.game, [partial(play, p) for p in self.probes], state, action)


def _learner(config: TrainConfig, games: tuple[str, ...], where: tuple[Any, Any]) -> Learner:
    return make_learner(config, Arcade(tuple(map(probe_of, games)), *where))


@partial(jax.jit, static_argnames=("config", "games"))
def _init(where, seed, *, config, games):
    return _learner(config, games, where).init(seed)


@partial(jax.jit, static_argnames=("config", "games"))
def _greedy_return(where, actor, *, config, games):
    learner = _learner(config, games, where)
    environment, team = learner.environment, learner.team
    limit = environment.spec.episode_limit

    def play(index):
        begun = _begin(environment, team, 5, index)
        return _go_on(environment, team, True, limit, actor, begun, limit).total

    return jax.vmap(play)(jnp.arange(64)).mean()


@partial(jax.jit, static_argnames=("config", "games"))
def _value_at_start(where, state, *, config, games):
    learner = _learner(config, games, where)
    _, seen = learner.environment.reset(jax.random.PRNGKey(0))
    raw = learner.critic.values(
        state.critic,
        learner.critic.view(seen)[None, None],
        learner.critic.initial_memory(1),
        jnp.ones((1, 1), bool),
    )
    mean, deviation = mean_and_deviation(state.value_statistics)
    return raw.mean() * deviation + mean


class Machine:
    """One configuration's functions; each takes the game by its name."""

    def __init__(self, config: TrainConfig, games: tuple[str, ...]) -> None:
        self.games = games
        self._iterate = jax.jit(lambda where, state: _learner(config, games, where).iterate(state))
        self._same = {"config": alike(config), "games": games}

    def _where(self, game, scrambled=NOBODY):
        return jnp.array(self.games.index(game)), jnp.array(scrambled)

    def init(self, game, seed=0, *, scrambled=NOBODY):
        return _init(self._where(game, scrambled), seed, **self._same)

    def train(self, game, state, iterations, *, scrambled=NOBODY):
        where = self._where(game, scrambled)
        for _ in range(iterations):
            state, metrics = self._iterate(where, state)
            assert not any(metrics["faults"].values()), metrics["faults"]
        return state, metrics

    def greedy_return(self, game, state):
        return float(_greedy_return(self._where(game), state.actor, **self._same))

    def value_at_start(self, game, state):
        return float(_value_at_start(self._where(game), state, **self._same))

    @property
    def compilations(self):
        return self._iterate._cache_size()


@lru_cache(maxsize=64)
def machine(algo: str, *, shared: bool, recurrent: bool = False, continuous: bool = False):
    """The machine of an entry of the conformance table."""
    # the environment that the configuration names is not looked at
    config = small_config("probe/credit", algo, shared=shared, recurrent=recurrent, gamma=0.9)
    return Machine(config, CONTINUOUS if continuous else DISCRETE)
