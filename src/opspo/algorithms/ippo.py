"""IPPO: PPO for each agent, with a critic of its own observation (de Witt et al. 2020).

A by GAE(λ) of V(o^i);   min( r^i A, clip(r^i, 1 ± ε) A )
"""

from __future__ import annotations

from opspo.algorithms.base import at_once
from opspo.algorithms.setting import Setting
from opspo.config import IPPOConfig
from opspo.update.algorithm import Algorithm


def ippo(config: IPPOConfig, setting: Setting) -> Algorithm:
    """Simultaneous; the critic is the only difference from MAPPO."""
    return at_once(config, setting)
