"""CoPPO: all agents at once, each step weighted by the others' ratio (Wu et al. 2021).

    g = clip(Π_{j≠i} r^j, 1 ± ε2);   min( g r^i A, clip(g r^i, 1 ± ε1) A ),   ε2 < ε1

g is that of the current policies at every gradient step, and is not differentiated.
"""

from __future__ import annotations

from opspo.algorithms.base import at_once
from opspo.algorithms.setting import Setting
from opspo.config import CoPPOConfig
from opspo.update.algorithm import Algorithm


def coppo(config: CoPPOConfig, setting: Setting) -> Algorithm:
    """Simultaneous, with the double clip (`objectives.corrections.double_clip_range`)."""
    return at_once(config, setting)
