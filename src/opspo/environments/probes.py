"""Tiny games whose optimum is known in closed form, each built to catch one kind of bug.

A probe has two agents or slightly more and lasts a few steps. A correct algorithm learns it in
seconds; one with the bug that the probe was built for cannot. Probes in which agents get in each
other's way are in `team_games`.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from opspo.environments import team_games
from opspo.environments.base import Observation
from opspo.environments.probe import Probe, State, nothing, spec, view
from opspo.types import Array


def _credit() -> Probe:
    """Credit over time: the first joint action decides a reward that comes six steps later."""
    limit = 6

    def observe(state: State) -> Observation:
        clock = jax.nn.one_hot(state["t"], limit + 1)
        return view(clock, 2, state=jnp.append(clock, state["good"]))

    def update(state: State, action: Array) -> tuple[State, Array, Array]:
        good = jnp.where(state["t"] == 0, (action == 1).mean(), state["good"])
        last = state["t"] == limit - 1
        return state | {"good": good}, jnp.where(last, good, 0.0), last

    sizes = spec("credit", limit + 1, limit, num_actions=2, state_size=limit + 2)
    return Probe(sizes, 1.0, lambda draw: {"good": jnp.array(0.0)}, observe, update)


def _leaving(name: str, terminal: bool, optimum: float) -> Probe:
    """Bootstrapping: stay for 1 a step, or leave (both must) for 2.5 and finish; three steps.

    If the limit is a truncation, staying is worth 1 / (1 - γ) and always right; a learner that
    takes the cut for a true end leaves at the last step. If the limit is a true end, leaving at the
    last step is right; a learner that bootstraps past the end leaves at the first.
    """
    limit = 3

    def observe(state: State) -> Observation:
        return view(jax.nn.one_hot(state["t"] % limit, limit), 2)

    def update(state: State, action: Array) -> tuple[State, Array, Array]:
        leave = (action == 1).all()
        ended = leave | (terminal & (state["t"] == limit - 1))
        return state, jnp.where(leave, 2.5, 1.0), ended

    return Probe(spec(name, limit, limit, num_actions=2), optimum, nothing, observe, update)


def _masks() -> Probe:
    """Action masks: only half of the actions are available; which half varies.

    The better available action pays 1, the other 0; an unavailable action costs 10.
    """

    def observe(state: State) -> Observation:
        upper = (state["draw"] + state["t"] * 0.37) % 1 > 0.5
        available = (jnp.arange(4) >= 2) == upper[:, None]
        return view(jnp.ones((2, 1)), 4, available=available)

    def update(state: State, action: Array) -> tuple[State, Array, Array]:
        available = observe(state).available_actions
        assert available is not None
        allowed = jnp.take_along_axis(available, action[:, None], axis=1)[:, 0]
        pay = jnp.where(allowed, (action % 2 == 1).astype(jnp.float32), -10.0)
        return state, pay.mean(), state["t"] == 3

    return Probe(spec("masks", 1, 4, num_actions=4), 4.0, nothing, observe, update)


def _death() -> Probe:
    """Dead agents: agent 1 dies after one step, and the team's reward then depends on agent 0.

    The dead agent has no choice left (only action 0) and sees zeros. Agent 0 must play 0 first and
    1 afterwards; agent 1 must play 1 while it is alive.
    """

    def observe(state: State) -> Observation:
        alive = jnp.array([True, False]) | (state["t"] == 0)
        features = jnp.array([state["t"] == 0, state["t"] > 0])
        rows = jnp.concatenate([jnp.stack([features, features]), jnp.eye(2)], axis=1)
        rows = rows * alive[:, None]
        available = jnp.ones((2, 2), bool).at[1, 1].set(alive[1])
        return view(rows, 2, state=features, available=available, alive=alive)

    def update(state: State, action: Array) -> tuple[State, Array, Array]:
        begin = (action[0] == 0) * 0.5 + (action[1] == 1) * 0.5
        reward = jnp.where(state["t"] == 0, begin, action[0] == 1)
        return state, reward, state["t"] == 3

    return Probe(spec("death", 4, 4, num_actions=2, state_size=2), 4.0, nothing, observe, update)


def _memory() -> Probe:
    """Memory: a cue is shown once and must be answered three steps later.

    With memory the return is 1; without it, at most 0.5.
    """
    limit = 4

    def observe(state: State) -> Observation:
        cue = jnp.where(state["draw"] > 0.5, 1.0, -1.0) * (state["t"] == 0)
        clock = jnp.broadcast_to(jax.nn.one_hot(state["t"], limit + 1), (2, limit + 1))
        whole = jnp.concatenate([clock[0], jnp.where(state["draw"] > 0.5, 1.0, -1.0)])
        return view(jnp.concatenate([cue[:, None], clock], axis=1), 2, state=whole)

    def update(state: State, action: Array) -> tuple[State, Array, Array]:
        right = (action == (state["draw"] > 0.5)).mean()
        last = state["t"] == limit - 1
        return state, jnp.where(last, right, 0.0), last

    sizes = spec("memory", limit + 2, limit, num_actions=2, state_size=limit + 3)
    return Probe(sizes, 1.0, nothing, observe, update)


def _continuous() -> Probe:
    """Continuous actions: each agent steers towards its own target, which it can see.

    The reward is 1 - Σ_i (a_i - target_i)² / 2, so the optimum is 1 per step.
    """

    def target(state: State) -> Array:
        return state["draw"] - 0.5

    def observe(state: State) -> Observation:
        # constants beside it, since a layer norm would erase a single feature
        constants = jnp.array([1.0, -1.0])
        rows = jnp.concatenate([target(state)[:, None], jnp.tile(constants, (2, 1))], axis=1)
        seen = view(rows, 1, state=jnp.concatenate([target(state), constants]))
        return seen.replace(available_actions=None)  # type: ignore[attr-defined]

    def update(state: State, action: Array) -> tuple[State, Array, Array]:
        error = action[:, 0] - target(state)
        return state, 1 - (error**2).mean(), state["t"] == 1

    sizes = spec("continuous", 3, 2, action_size=1, state_size=4)
    return Probe(sizes, 2.0, nothing, observe, update)


_PROBES: dict[str, Callable[[], Probe]] = {
    "credit": _credit,
    "truncation": lambda: _leaving("truncation", terminal=False, optimum=3.0),
    "termination": lambda: _leaving("termination", terminal=True, optimum=4.5),
    "masks": _masks,
    "death": _death,
    "memory": _memory,
    "continuous": _continuous,
    "coordination": team_games.coordination,
    "overshoot": team_games.overshoot,
    "regulator": team_games.regulator,
}


def make_probe(name: str) -> Probe:
    """The probe with that name (one of `opspo.environments.tasks.PROBES`)."""
    return _PROBES[name]()
