"""What an environment is to this library: a specification and two pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np
from flax import struct
from typing_extensions import TypeIs

from opspo.types import Array


@dataclass(frozen=True)
class EnvironmentSpec:
    """Sizes and facts that do not change."""

    name: str
    num_agents: int
    observation_size: int
    state_size: int
    num_actions: int = 0
    """Discrete choices of each agent, the most in any of its decisions; 0 where actions are
    continuous."""
    action_size: int = 0
    """Dimensions of each agent's action: numbers in [-1, 1], or, with `num_actions`, decisions at
    one step (MultiDiscrete). 0 where the action is one decision."""
    action_sizes: tuple[int, ...] = ()
    """Each agent's own dimensions, where some have fewer than `action_size`: what is beyond does
    nothing and does not count. () where all have all of them."""
    action_counts: tuple[int, ...] = ()
    """Each agent's own number of choices, where some have fewer than `num_actions`. () where all
    have as many."""
    decision_counts: tuple[tuple[int, ...], ...] = ()
    """Each agent's number of choices in each of its own decisions, where there are several at one
    step and some have fewer than `num_actions`. () where all have as many."""
    agents: tuple[str, ...] = ()
    """The agents' names in the order of the axis N; () where they have none."""
    episode_limit: int = 0
    """Most steps of an episode, at which it is truncated; 0 where there is no limit."""
    has_win: bool = False
    """Whether episodes are won or lost."""
    outcomes: tuple[str, ...] = ()
    """Names of further numbers that an episode comes to, for the metrics."""
    engine: str = ""
    """What simulates it, with the version."""

    @property
    def choices(self) -> tuple[int, ...]:
        """Shape of one agent's available actions: [A], or [D, A] of D decisions; () of none."""
        if self.num_actions == 0:
            return ()
        decisions = (self.action_size,) if self.action_size else ()
        return (*decisions, self.num_actions)

    @property
    def counts(self) -> tuple[tuple[int, ...], ...]:
        """How many choices each agent has in each of its own decisions; () where it has numbers."""
        if self.num_actions == 0 or self.decision_counts:
            return self.decision_counts
        counts = self.action_counts or (self.num_actions,) * self.num_agents
        sizes = self.action_sizes or (self.action_size or 1,) * self.num_agents
        return tuple((count,) * size for count, size in zip(counts, sizes, strict=True))


@struct.dataclass
class Observation:
    """What the team perceives at one instant."""

    observation: Array
    """[N, d], zeros for a dead agent"""
    state: Array
    """[s]"""
    available_actions: Array | None
    """[N, A] bool, or [N, D, A] of D decisions, at least one for each; None with continuous
    actions"""
    alive: Array
    """[N] bool"""


@struct.dataclass
class Step:
    """What came of a joint action. Nothing here has been reset."""

    observation: Observation
    reward: Array
    """[] the team's"""
    terminated: Array
    """[] bool, the task itself ended"""
    truncated: Array
    """[] bool, a limit cut it; false where it terminated"""
    win: Array
    """[] bool, this step won the episode"""
    lost: Array | None = None
    """[] bool, the engine broke down and the episode does not count; None where it cannot"""
    outcome: dict[str, Array] = struct.field(default_factory=dict)
    """[] each of the specification's `outcomes`; they count where the episode ended"""


class JaxEnvironment(Protocol):
    """One environment (not a batch) as pure functions; the library adds the batch axis.

    `step` does not reset: the rollout does, after it has kept the true last state.
    """

    @property
    def spec(self) -> EnvironmentSpec:
        """The sizes."""

    def reset(self, key: Array) -> tuple[Any, Observation]:
        """Start an episode."""

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, Step]:
        """Take the joint action, int [N] or [N, D], or float [N, D]."""


def strongly_typed(started: Any) -> Any:
    """What a traced `reset` gives, with the types that `step` gives.

    An environment may start from numbers of Python's; left weakly typed, they would make the second
    step compile anew.
    """
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), started)


class HostBatch(Protocol):
    """Environments side by side that are stepped outside of JAX: NumPy in, NumPy out.

    Everything has a leading axis E. `step` resets what ended, but what it returns of the step has
    not been reset. It may fill the same arrays each time, but where an episode ends, its last
    observation and the next first one must be two.
    """

    def reset(self) -> Observation:
        """Start an episode in every environment."""

    def step(self, action: np.ndarray) -> tuple[Step, Observation]:
        """Take the joint actions, int [E, N] or [E, N, D], or float [E, N, D].

        Returns:
            What came of them, with the true last observation where an episode ended; and the
            observation to go on from, which is the first of a new episode there.

        Raises:
            EngineError: the engine broke down for good.
        """

    @property
    def lost_episodes(self) -> int:
        """How many episodes were dropped so far because their worker died.

        The step at which that happened is truncated, with a reward of 0, and says `lost`.
        """

    def close(self) -> None:
        """Stop the workers."""


class HostEnvironment(Protocol):
    """An environment whose engine is not JAX."""

    @property
    def spec(self) -> EnvironmentSpec:
        """The sizes."""

    def open(self, num_envs: int, seed: int) -> HostBatch:
        """Start the engine. The same seed and actions give the same episodes.

        Another seed gives others, in every one of the environments: `environments.seeding.spread`
        draws a seed for each.

        Several may be open at once, each stepped by a thread of its own (`rollout.groups`): nothing
        that they draw from may be shared.
        """


Environment = JaxEnvironment | HostEnvironment
"""Either kind"""


def runs_on_host(environment: Environment) -> TypeIs[HostEnvironment]:
    """Whether an environment's engine is stepped outside of JAX."""
    return hasattr(environment, "open")
