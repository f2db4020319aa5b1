"""What a state weight ω is to the update: what it learns, and when.

An update calls `begin` once, then for each stage `weigh` before its gradient steps and `moved`
after them; `end` gives what is kept until the next iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from opspo.types import Array, Batch, Params, StageData


class StateWeight(Protocol):
    """A way to ω."""

    def init(self, key: Array, example: Batch, actor: Params) -> Any:
        """What is kept in the training state, before the first iteration.

        Of the example only shapes count.
        """

    def begin(self, kept: Any, batch: Batch, actor: Params, critic: Params, key: Array) -> Any:
        """What the stages of one update pass on to each other."""

    def weigh(
        self, working: Any, batch: Batch, data: StageData, stage: Array, key: Array
    ) -> tuple[Array, Any]:
        """ω [T, E, K] of the batch's states for the agents of a stage, the stage-th [] int."""

    def moved(self, working: Any, actor: Params, agents: Array) -> Any:
        """Take note that a group of agents has changed its policy."""

    def end(self, working: Any) -> Any:
        """What is kept."""


@dataclass(frozen=True)
class Formula:
    """ω by a formula of the stage's own data: nothing is learned or kept."""

    formula: Callable[[Array, Array], Array]
    """(log_ratio [T, E, K], first [T, E]) → ω [T, E, K]"""

    def init(self, key: Array, example: Batch, actor: Params) -> Any:
        """Nothing."""
        del key, example, actor
        return ()

    def begin(self, kept: Any, batch: Batch, actor: Params, critic: Params, key: Array) -> Any:
        """Nothing."""
        del batch, actor, critic, key
        return kept

    def weigh(
        self, working: Any, batch: Batch, data: StageData, stage: Array, key: Array
    ) -> tuple[Array, Any]:
        """The formula."""
        del batch, stage, key
        return self.formula(data.density_log_ratio, data.first[..., 0]), working

    def moved(self, working: Any, actor: Params, agents: Array) -> Any:
        """Nothing changes."""
        del actor, agents
        return working

    def end(self, working: Any) -> Any:
        """Nothing."""
        return working
