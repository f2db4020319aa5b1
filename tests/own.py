"""An algorithm of a user's own, and a short run of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import jax.numpy as jnp
from small import small_config

from opspo.algorithms import HAPPOConfig
from opspo.config import TrainConfig


def own_range(log_ratio: Any, *, clip: float, push: float) -> Any:
    """HAPPO's weight to a power, and its range."""
    one = jnp.ones_like(log_ratio)
    return jnp.exp(push * log_ratio), one * (1 - clip), one * (1 + clip)


@dataclass(frozen=True, kw_only=True)
class PushConfig(HAPPOConfig):
    """HAPPO with a range of one's own, and a number for it."""

    name: ClassVar[str] = "push"
    clip_range: Any = own_range
    push: float = 1.0


def config_of(tmp_path: Any, **more: Any) -> TrainConfig:
    """Four short iterations of HAPPO."""
    base = small_config("probe/credit", "happo", shared=False, epochs=1)
    parts = {"total_steps": 4 * base.steps_per_iteration, "run_dir": str(tmp_path / "run")}
    return replace(base, **parts | more)
