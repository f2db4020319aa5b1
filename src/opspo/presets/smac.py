"""StarCraft II: the paper's settings (Table 2); for maps that it does not play, a plain row's."""

from __future__ import annotations

import dataclasses

from opspo.config import TrainConfig
from opspo.presets.paper import paper, tasks

PLAIN = "smac/10m_vs_11m"
"""Its row has what most others have"""


def adapt(config: TrainConfig) -> TrainConfig:
    """The settings for StarCraft II."""
    row = config.env if config.env in tasks() else PLAIN
    return dataclasses.replace(paper(row, config.algo), env=config.env)
