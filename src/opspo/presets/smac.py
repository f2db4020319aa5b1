"""StarCraft II: the paper's settings (Table 2); for maps that it does not play, a plain row's."""

from __future__ import annotations

import dataclasses

from opspo.config import TrainConfig
from opspo.presets.paper import paper, tasks
from opspo.presets.written import CHOICES

PLAIN = "smac/10m_vs_11m"
"""Its row has what most others have"""


def adapt(config: TrainConfig) -> TrainConfig:
    """The settings for StarCraft II."""
    row = config.env if config.env in tasks() else PLAIN
    if config.algo in CHOICES:
        return dataclasses.replace(paper(row, config.algo), env=config.env)
    # an algorithm that came later: its own declaration, and a baseline's settings for the rest
    like = "happo" if config.algorithm.sequential else "mappo"
    return dataclasses.replace(
        paper(row, like), env=config.env, algo=config.algo, algorithm=config.algorithm
    )
