"""MAPPO: all agents at once, PPO's clipped objective, one central critic (Yu et al. 2022)."""

from __future__ import annotations

from opspo.algorithms.base import Algorithm, compose
from opspo.config import MAPPOConfig
from opspo.update.schedule import simultaneous


def mappo(config: MAPPOConfig, *, num_agents: int, shared: bool) -> Algorithm:
    """Simultaneous; sharing parameters makes no difference to the plan."""
    del shared
    schedule = simultaneous(num_agents=num_agents, epochs=config.epochs)
    return Algorithm(schedule=schedule, correct=compose(config))
