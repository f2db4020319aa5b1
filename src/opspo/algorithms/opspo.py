"""OPSPO: agents in turn, each on data corrected for what the agents before it have changed.

AEC corrects the advantage (`estimators.traces`), SDC the state distribution
(`estimators.state_weights`), CRC the weight and the clip range (`objectives.corrections`).
"""

from __future__ import annotations

from opspo.algorithms.base import Algorithm, compose
from opspo.config import OPSPOConfig
from opspo.update.order import ORDERS
from opspo.update.schedule import in_blocks, one_by_one


def opspo(config: OPSPOConfig, *, num_agents: int, shared: bool) -> Algorithm:
    """Sequential; with shared parameters in blocks, as A2PO's public settings have it."""
    order = ORDERS[config.order]
    schedule = (
        in_blocks(
            order,
            num_agents=num_agents,
            epochs=config.epochs,
            blocks=config.blocks,
            cumulative=config.cumulative_blocks,
        )
        if shared
        else one_by_one(order, num_agents=num_agents, epochs=config.epochs)
    )
    return Algorithm(schedule=schedule, correct=compose(config))
