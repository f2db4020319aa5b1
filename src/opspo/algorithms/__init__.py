"""The algorithms, each a composition in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opspo.algorithms.a2po import a2po
from opspo.algorithms.coppo import coppo
from opspo.algorithms.happo import happo
from opspo.algorithms.ippo import ippo
from opspo.algorithms.mappo import mappo
from opspo.algorithms.opspo import opspo
from opspo.algorithms.setting import Setting
from opspo.update.algorithm import Algorithm

ALGORITHMS: dict[str, Callable[[Any, Setting], Algorithm]] = {
    "opspo": opspo,
    "a2po": a2po,
    "happo": happo,
    "coppo": coppo,
    "mappo": mappo,
    "ippo": ippo,
}
"""name → (config, setting) → `Algorithm`; `config.ALGORITHM_CONFIGS` has the same names."""

__all__ = ["ALGORITHMS", "Algorithm", "Setting"]
