"""The algorithms: each file here that declares a `name` is one. Nothing here imports JAX."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from opspo.algorithms.a2po import A2POConfig
from opspo.algorithms.common import AlgorithmConfig
from opspo.algorithms.coppo import CoPPOConfig
from opspo.algorithms.density import DensityConfig
from opspo.algorithms.happo import HAPPOConfig
from opspo.algorithms.ippo import IPPOConfig
from opspo.algorithms.mappo import MAPPOConfig
from opspo.algorithms.opspo import OPSPOConfig
from opspo.algorithms.sequential import SequentialConfig


def _declared() -> dict[str, type[AlgorithmConfig]]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    return {
        kind.name: kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, AlgorithmConfig)
        and kind.__module__ == module.__name__
        and "name" in vars(kind)
    }


ALGORITHMS: dict[str, type[AlgorithmConfig]] = _declared()
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
