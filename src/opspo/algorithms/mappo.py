"""MAPPO: all agents at once, PPO's clipped objective, one central critic (Yu et al. 2022).

A by GAE(λ) of V(s);   min( r^i A, clip(r^i, 1 ± ε) A )
"""

from __future__ import annotations

from opspo.algorithms.base import at_once
from opspo.algorithms.setting import Setting
from opspo.config import MAPPOConfig
from opspo.update.algorithm import Algorithm


def mappo(config: MAPPOConfig, setting: Setting) -> Algorithm:
    """Simultaneous; sharing parameters makes no difference to the plan."""
    return at_once(config, setting)
