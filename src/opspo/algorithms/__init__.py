"""The algorithms, each declared in a file of its own. Nothing here imports JAX."""

from __future__ import annotations

from opspo.algorithms.a2po import A2POConfig
from opspo.algorithms.common import AlgorithmConfig
from opspo.algorithms.coppo import CoPPOConfig
from opspo.algorithms.density import DensityConfig
from opspo.algorithms.happo import HAPPOConfig
from opspo.algorithms.ippo import IPPOConfig
from opspo.algorithms.mappo import MAPPOConfig
from opspo.algorithms.opspo import OPSPOConfig
from opspo.algorithms.sequential import SequentialConfig

ALGORITHMS: dict[str, type[AlgorithmConfig]] = {
    declaration.name: declaration
    for declaration in (
        OPSPOConfig,
        A2POConfig,
        HAPPOConfig,
        CoPPOConfig,
        MAPPOConfig,
        IPPOConfig,
    )
}
"""The only registry: name → declaration."""

__all__ = [
    "ALGORITHMS",
    "A2POConfig",
    "AlgorithmConfig",
    "CoPPOConfig",
    "DensityConfig",
    "HAPPOConfig",
    "IPPOConfig",
    "MAPPOConfig",
    "OPSPOConfig",
    "SequentialConfig",
]
