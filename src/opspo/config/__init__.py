"""The settings of a run: frozen, typed, documented field by field, checked when they are made.

The algorithm's own settings are in `opspo.algorithms`. Nothing here imports JAX, so that the
command line answers quickly.
"""

from opspo.config.checkpoints import parse_checkpoint
from opspo.config.files import from_json, to_json, to_plain
from opspo.config.parts import (
    LEAST_NORMALISED,
    CheckpointConfig,
    EvaluationConfig,
    OptimiserConfig,
    PolicyConfig,
    RolloutConfig,
    ValueConfig,
)
from opspo.config.processes import Processes, parse_processes
from opspo.config.run import TrainConfig
from opspo.config.seed_list import parse_seeds

__all__ = [
    "LEAST_NORMALISED",
    "CheckpointConfig",
    "EvaluationConfig",
    "OptimiserConfig",
    "PolicyConfig",
    "Processes",
    "RolloutConfig",
    "TrainConfig",
    "ValueConfig",
    "from_json",
    "parse_checkpoint",
    "parse_processes",
    "parse_seeds",
    "to_json",
    "to_plain",
]
