"""What each family of environments changes in an algorithm's settings."""

from __future__ import annotations

from collections.abc import Callable

from opspo.config import TrainConfig
from opspo.presets import football, mamujoco, smac, smax

ADAPT: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "smac": smac.adapt,
    "smax": smax.adapt,
    "mamujoco": mamujoco.adapt,
    "football": football.adapt,
}
"""Family → (settings) → settings"""


def adapted(config: TrainConfig) -> TrainConfig:
    """`config` with what its environment's family changes."""
    family = config.env.split("/", maxsplit=1)[0]
    return ADAPT[family](config) if family in ADAPT else config
