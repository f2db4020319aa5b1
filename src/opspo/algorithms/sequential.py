"""Settings of the algorithms that update one agent, or one group of agents, after another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from opspo.algorithms.common import AlgorithmConfig
from opspo.algorithms.names import OrderName, TraceScopeName, WeightScopeName
from opspo.errors import require


@dataclass(frozen=True, kw_only=True)
class SequentialConfig(AlgorithmConfig):
    """What every sequential algorithm has; each one's own class declares its choices."""

    sequential: ClassVar[bool] = True

    order: OrderName = "semi_greedy"
    """Order in which agents are updated (erratum E10)."""
    blocks: int = 2
    """Shared parameters: groups into which the order is cut. Each group is one update an epoch."""
    block_epochs: Literal["all", "divided"] = "all"
    """Shared parameters: how often to go round the groups. `all`: `epochs` rounds, which takes
    `blocks` times as many gradient steps as a simultaneous algorithm. `divided`: ceil(epochs /
    blocks) rounds, which takes as many, rounded up (A2PO's public code)."""
    cumulative_blocks: bool = True
    """Shared parameters: a group's update includes the groups before it."""
    trace_agents: TraceScopeName = "others"
    """Whose ratios shorten the traces of AEC: those of all `others`, of the `preceding` agents in
    the order, or of `all`, the agent itself included (A2PO's public code). The choice matters only
    with shared parameters (erratum E9)."""
    weight_agents: WeightScopeName = "others"
    """Whose ratios make the weights and the clip range: those of all `others`, or of the
    `preceding` agents."""
    values: Literal["collected", "anew", "ahead"] = "collected"
    """Which critic the advantages use: the critic at collection (`collected`); the critic as the
    preceding agents have left it (`anew`, as in Algorithm 1; erratum E14); or that critic after the
    stage's own critic steps, which then come before those of its agents (`ahead`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.blocks >= 1, "algorithm.blocks", "at least 1", self.blocks)
        require(
            self.values == "collected" or not self.critic_epochs,
            "algorithm.values",
            "'collected' where algorithm.critic_epochs trains the critic after all agents: it does "
            "not move between them",
            self.values,
        )
        require(
            self.advantage != "doubly_robust" or self.trace_agents == "others",
            "algorithm.trace_agents",
            "'others' where algorithm.advantage is 'doubly_robust', whose model counts them all",
            self.trace_agents,
        )

    def rounds(self, num_agents: int) -> int:
        """Shared parameters: rounds over the groups in an update, each a pass for every group."""
        divided = self.block_epochs == "divided"
        return -(-self.epochs // min(self.blocks, num_agents)) if divided else self.epochs
