"""Settings by task."""

from __future__ import annotations

from opspo.config import ALGORITHM_CONFIGS, TrainConfig, unknown_name
from opspo.presets import smax


def default_config(env: str, algo: str) -> TrainConfig:
    """The settings that `opspo train` starts from for a task and an algorithm.

    Raises:
        ConfigError: there is no such algorithm.
    """
    if algo not in ALGORITHM_CONFIGS:
        raise unknown_name("algorithm", algo, ALGORITHM_CONFIGS)
    config = TrainConfig(env=env, algo=algo, algorithm=ALGORITHM_CONFIGS[algo]())
    return smax.adapt(config) if env.startswith("smax/") else config
