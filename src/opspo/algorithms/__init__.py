"""The algorithms, each a composition in a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opspo.algorithms.base import Algorithm
from opspo.algorithms.mappo import mappo
from opspo.algorithms.opspo import opspo

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {"mappo": mappo, "opspo": opspo}
"""name → (config, *, num_agents, shared) → `Algorithm`"""


def make_algorithm(name: str, config: Any, *, num_agents: int, shared: bool) -> Algorithm:
    """The algorithm of that name; `config.ALGORITHM_CONFIGS` has the same names."""
    return ALGORITHMS[name](config, num_agents=num_agents, shared=shared)
