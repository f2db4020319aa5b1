"""HAPPO: agents in turn, in random order, weighted by those before (Kuba et al. 2022).

M = r^{i−1} A;   min( r^i M, clip(r^i, 1 ± ε) M )
"""

from __future__ import annotations

from opspo.algorithms.base import in_turn
from opspo.algorithms.setting import Setting
from opspo.config import HAPPOConfig
from opspo.update.algorithm import Algorithm


def happo(config: HAPPOConfig, setting: Setting) -> Algorithm:
    """Sequential, with the others' whole ratio as weight (`corrections.ratio_range`)."""
    return in_turn(config, setting)
