"""Settings by task."""

from __future__ import annotations

from collections.abc import Callable

from opspo.algorithms import ALGORITHMS, SequentialConfig
from opspo.config import TrainConfig
from opspo.errors import unknown_name
from opspo.presets.adapt import adapted
from opspo.presets.equal_steps import equal_steps
from opspo.presets.jaxmarl import jaxmarl
from opspo.presets.literal import literal
from opspo.presets.paper import paper


def default_config(env: str, algo: str) -> TrainConfig:
    """The settings that `opspo train` starts from for a task and an algorithm.

    Raises:
        ConfigError: there is no such algorithm.
    """
    if algo not in ALGORITHMS:
        raise unknown_name("algorithm", algo, ALGORITHMS)
    return adapted(TrainConfig(env=env, algo=algo, algorithm=ALGORITHMS[algo]()))


PRESETS: dict[str, Callable[[str, str], TrainConfig]] = {
    "default": default_config,
    "paper": paper,
    "literal": literal,
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


Variant = Callable[[TrainConfig, int, SequentialConfig | None], TrainConfig]
"""(settings, number of agents, a sequential algorithm on the same task) → settings"""

VARIANTS: dict[str, Variant] = {"equal_steps": equal_steps}
"""Changes that go with any preset"""

SEQUENTIAL = "happo"
"""Whose blocks set the number of steps for simultaneous algorithms"""


def variant_config(
    name: str, config: TrainConfig, *, num_agents: int, preset: str = "default"
) -> TrainConfig:
    """A preset's settings, changed for a comparison.

    Args:
        name: of the variant.
        config: the preset's.
        num_agents: of the environment.
        preset: its name, which says how others on this task are set.

    Raises:
        ConfigError: there is no such variant.
    """
    if name not in VARIANTS:
        raise unknown_name("variant", name, VARIANTS)
    if isinstance(config.algorithm, SequentialConfig):
        return VARIANTS[name](config, num_agents, config.algorithm)
    sequential = preset_config(preset, config.env, SEQUENTIAL).algorithm
    assert isinstance(sequential, SequentialConfig)
    return VARIANTS[name](config, num_agents, sequential)
