"""Trust-region multi-agent reinforcement learning in JAX: OPSPO and its rivals from one core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opspo.config import TrainConfig
    from opspo.environments import make_env
    from opspo.environments.checks.check_env import check_env
    from opspo.environments.pettingzoo import from_pettingzoo
    from opspo.environments.starcraft import from_smac
    from opspo.policy import Policy, load_policy
    from opspo.presets import default_config
    from opspo.rendering.film import watch
    from opspo.training.evaluate_run import evaluate_run
    from opspo.training.resuming import resume
    from opspo.training.trainer import train

__version__ = "0.1.0"

# Name → module. Loaded at first use: JAX takes a second, an engine four.
_PUBLIC = {
    "Policy": "opspo.policy",
    "TrainConfig": "opspo.config",
    "check_env": "opspo.environments.checks.check_env",
    "default_config": "opspo.presets",
    "evaluate_run": "opspo.training.evaluate_run",
    "from_pettingzoo": "opspo.environments.pettingzoo",
    "from_smac": "opspo.environments.starcraft",
    "load_policy": "opspo.policy",
    "make_env": "opspo.environments",
    "resume": "opspo.training.resuming",
    "train": "opspo.training.trainer",
    "watch": "opspo.rendering.film",
}

__all__ = [
    "Policy",
    "TrainConfig",
    "check_env",
    "default_config",
    "evaluate_run",
    "from_pettingzoo",
    "from_smac",
    "load_policy",
    "make_env",
    "resume",
    "train",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'opspo' has no attribute '{name}'")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_PUBLIC[name]), name)
