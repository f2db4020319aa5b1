"""OPSPO: agents in turn, on data corrected for what the agents before have changed.

AEC corrects the advantage (`estimators.traces`), SDC the state distribution
(`estimators.state_weights`, `estimators.density_ratio`), CRC the weight and the clip range
(`objectives.corrections.opspo_range`):

    r̃ ω̃ · min( r^i A, clip(r^i, l^i, h^i) A )
"""

from __future__ import annotations

from opspo.algorithms.base import in_turn
from opspo.algorithms.setting import Setting
from opspo.config import OPSPOConfig
from opspo.update.algorithm import Algorithm


def opspo(config: OPSPOConfig, setting: Setting) -> Algorithm:
    """Sequential; with shared parameters in blocks, as A2PO's public settings have it."""
    return in_turn(config, setting)
