"""The protocols an environment follows: a specification, and either pure functions or a batch."""

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
    """Sizes and facts about an environment that do not change."""

    name: str
    num_agents: int
    observation_size: int
    state_size: int
    num_actions: int = 0
    """Discrete choices per agent: the largest number in any of its decisions. 0 for continuous
    actions."""
    action_size: int = 0
    """Dimensions of each agent's action: numbers in [-1, 1], or, with `num_actions`, the decisions
    made at one step (MultiDiscrete). 0 if the action is a single decision."""
    action_sizes: tuple[int, ...] = ()
    """Each agent's own number of dimensions, if some have fewer than `action_size`: the surplus
    does nothing and is not counted. () if every agent has all of them."""
    action_counts: tuple[int, ...] = ()
    """Each agent's own number of choices, if some have fewer than `num_actions`. () if all have the
    same number."""
    decision_counts: tuple[tuple[int, ...], ...] = ()
    """Each agent's number of choices in each of its decisions, if there are several decisions per
    step and some have fewer choices than `num_actions`. () if all have the same number."""
    agents: tuple[str, ...] = ()
    """The agents' names in the order of axis N; () if they have none."""
    episode_limit: int = 0
    """Maximum number of steps in an episode, which is then truncated; 0 for no limit."""
    has_win: bool = False
    """Whether episodes are won or lost."""
    outcomes: tuple[str, ...] = ()
    """Names of further numbers that an episode reports at its end, for the metrics."""
    engine: str = ""
    """The simulator and its version."""

    @property
    def choices(self) -> tuple[int, ...]:
        """Shape of one agent's action mask: [A], or [D, A] for D decisions; () if continuous."""
        if self.num_actions == 0:
            return ()
        decisions = (self.action_size,) if self.action_size else ()
        return (*decisions, self.num_actions)

    @property
    def counts(self) -> tuple[tuple[int, ...], ...]:
        """Number of choices in each decision of each agent; () for continuous actions."""
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
    """[s] the global state, for the critic"""
    available_actions: Array | None
    """[N, A] bool, or [N, D, A] for D decisions, with at least one true per decision; None for
    continuous actions"""
    alive: Array
    """[N] bool, false once an agent is dead"""


@struct.dataclass
class Step:
    """The outcome of a joint action, before any reset."""

    observation: Observation
    reward: Array
    """[] the team's reward"""
    terminated: Array
    """[] bool, the task itself ended"""
    truncated: Array
    """[] bool, a limit cut the episode; false if it terminated"""
    win: Array
    """[] bool, this step won the episode"""
    lost: Array | None = None
    """[] bool, the engine failed and the episode does not count; None if that cannot happen"""
    outcome: dict[str, Array] = struct.field(default_factory=dict)
    """[] for each of the specification's `outcomes`; used only where the episode ended"""


class JaxEnvironment(Protocol):
    """One environment (not a batch) as pure functions; the library adds the batch axis.

    `step` does not reset: the rollout does that once it has recorded the true last state.
    """

    @property
    def spec(self) -> EnvironmentSpec:
        """The environment's specification."""

    def reset(self, key: Array) -> tuple[Any, Observation]:
        """Start an episode; return its state and the first observation."""

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, Step]:
        """Take the joint action, int [N] or [N, D], or float [N, D] in [-1, 1]."""


def strongly_typed(started: Any) -> Any:
    """The result of a traced `reset`, with the strong dtypes that `step` returns.

    An environment may start from plain Python numbers. Left weakly typed, they would make JAX
    compile again at the second step.
    """
    return jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), started)


class HostBatch(Protocol):
    """A batch of environments that are stepped outside of JAX: NumPy in, NumPy out.

    Every array has a leading axis E. `step` resets the environments whose episode ended, but the
    `Step` it returns precedes that reset. It may fill the same arrays at every call, but where an
    episode ends, its last observation and the first one of the next must be separate arrays.
    """

    def reset(self) -> Observation:
        """Start an episode in every environment."""

    def step(self, action: np.ndarray) -> tuple[Step, Observation]:
        """Take the joint actions, int [E, N] or [E, N, D], or float [E, N, D].

        Returns:
            The outcome, with the true last observation where an episode ended; and the observation
            to continue from, which is the first of a new episode there.

        Raises:
            EngineError: the engine failed and cannot be restarted.
        """

    @property
    def lost_episodes(self) -> int:
        """Number of episodes dropped so far because their worker died.

        The step at which that happened is truncated, has a reward of 0 and is marked `lost`.
        """

    def close(self) -> None:
        """Stop the workers."""


class HostEnvironment(Protocol):
    """An environment whose engine is not written in JAX."""

    @property
    def spec(self) -> EnvironmentSpec:
        """The environment's specification."""

    def open(self, num_envs: int, seed: int) -> HostBatch:
        """Start the engine. The same seed and actions give the same episodes.

        A different seed gives different episodes in every environment:
        `environments.seeding.spread` draws a seed for each.

        Several batches may be open at once, each stepped by its own thread (`rollout.groups`), so
        they must not share a random generator.
        """


Environment = JaxEnvironment | HostEnvironment
"""Either kind"""


def runs_on_host(environment: Environment) -> TypeIs[HostEnvironment]:
    """Whether an environment is stepped outside of JAX."""
    return hasattr(environment, "open")
