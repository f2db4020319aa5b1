"""A2PO: agents in turn, the advantage corrected for those before (Wang et al. 2023).

A_t = δ_t + Σ_k γ^k (Π_{j=1..k} λ min(1, r_{t+j})) δ_{t+k}
g = clip(r^{i−1}, 1 ± ε2);   min( g r^i A, clip(g r^i, 1 ± ε_i) A ),   ε_i = ε (½ + ½ i/n)
"""

from __future__ import annotations

from opspo.algorithms.base import in_turn
from opspo.algorithms.setting import Setting
from opspo.config import A2POConfig
from opspo.update.algorithm import Algorithm


def a2po(config: A2POConfig, setting: Setting) -> Algorithm:
    """Sequential, semi-greedy, with a clip that grows along the order (`position_clip`)."""
    return in_turn(config, setting)
