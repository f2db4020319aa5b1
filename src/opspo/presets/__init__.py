"""Settings by task."""

from __future__ import annotations

from collections.abc import Callable

from opspo.config import ALGORITHM_CONFIGS, TrainConfig, unknown_name
from opspo.presets import football, mamujoco, smac, smax
from opspo.presets.jaxmarl import jaxmarl
from opspo.presets.literal import literal
from opspo.presets.paper import paper

ADAPT: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "smac": smac.adapt,
    "smax": smax.adapt,
    "mamujoco": mamujoco.adapt,
    "football": football.adapt,
}
"""What each family of environments changes"""


def default_config(env: str, algo: str) -> TrainConfig:
    """The settings that `opspo train` starts from for a task and an algorithm.

    Raises:
        ConfigError: there is no such algorithm.
    """
    if algo not in ALGORITHM_CONFIGS:
        raise unknown_name("algorithm", algo, ALGORITHM_CONFIGS)
    config = TrainConfig(env=env, algo=algo, algorithm=ALGORITHM_CONFIGS[algo]())
    return ADAPT.get(env.split("/", maxsplit=1)[0], lambda config: config)(config)


PRESETS: dict[str, Callable[[str, str], TrainConfig]] = {
    "default": default_config,
    "paper": paper,
    "literal": lambda env, algo: literal(default_config(env, algo)),
    "jaxmarl": lambda env, algo: jaxmarl(default_config(env, algo)),
}
"""name → (env, algo) → settings"""


def preset_config(name: str, env: str, algo: str) -> TrainConfig:
    """The settings of a preset for a task and an algorithm.

    Raises:
        ConfigError: there is no such preset, or it has nothing for the task or the algorithm.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name](env, algo)
