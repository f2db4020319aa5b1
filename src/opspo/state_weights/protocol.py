"""The protocol of a state weight ω: what the update asks of it, and when.

An update calls `begin` once; then, for each stage, `weigh` before the gradient steps and `moved`
after them; and finally `end`, which returns what is kept until the next iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from opspo.types import Array, Batch, Params, StageData


@runtime_checkable
class StateWeight(Protocol):
    """A method that computes ω."""

    def init(self, key: Array, example: Batch, actor: Params) -> Any:
        """What the training state keeps before the first iteration.

        Only the shapes of the example matter.
        """

    def begin(self, kept: Any, batch: Batch, actor: Params, critic: Params, key: Array) -> Any:
        """Begin an update: return what its stages pass on to each other."""

    def weigh(
        self, working: Any, batch: Batch, data: StageData, stage: Array, key: Array
    ) -> tuple[Array, Any]:
        """ω [T, E, K] of the batch's states for the agents of stage number `stage` [] int."""

    def moved(self, working: Any, actor: Params, agents: Array) -> Any:
        """Note that a group of agents [K] has changed its policies."""

    def end(self, working: Any) -> Any:
        """End the update: return what is kept."""


@dataclass(frozen=True)
class Formula:
    """ω by a formula of the stage's data; nothing is learned or kept."""

    formula: Callable[[Array, Array], Array]
    """(log_ratio [T, E, K], first [T, E]) → ω [T, E, K]"""

    def init(self, key: Array, example: Batch, actor: Params) -> Any:
        """Keep nothing."""
        del key, example, actor
        return ()

    def begin(self, kept: Any, batch: Batch, actor: Params, critic: Params, key: Array) -> Any:
        """Prepare nothing."""
        del batch, actor, critic, key
        return kept

    def weigh(
        self, working: Any, batch: Batch, data: StageData, stage: Array, key: Array
    ) -> tuple[Array, Any]:
        """Apply the formula: ω [T, E, K]."""
        del batch, stage, key
        return self.formula(data.density_log_ratio, data.first[..., 0]), working

    def moved(self, working: Any, actor: Params, agents: Array) -> Any:
        """Note nothing."""
        del actor, agents
        return working

    def end(self, working: Any) -> Any:
        """Keep nothing."""
        return working
