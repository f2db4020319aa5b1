"""Every setting of a run: frozen, typed, documented field by field, checked when it is made.

Nothing here imports JAX, so that the command line answers at once.
"""

from opspo.config.algorithms import (
    ALGORITHM_CONFIGS,
    AlgorithmConfig,
    MAPPOConfig,
    OPSPOConfig,
)
from opspo.config.errors import ConfigError, unknown_name
from opspo.config.files import from_json, to_json
from opspo.config.parts import (
    CheckpointConfig,
    EvaluationConfig,
    OptimiserConfig,
    PolicyConfig,
    RolloutConfig,
    ValueConfig,
)
from opspo.config.run import TrainConfig

__all__ = [
    "ALGORITHM_CONFIGS",
    "AlgorithmConfig",
    "CheckpointConfig",
    "ConfigError",
    "EvaluationConfig",
    "MAPPOConfig",
    "OPSPOConfig",
    "OptimiserConfig",
    "PolicyConfig",
    "RolloutConfig",
    "TrainConfig",
    "ValueConfig",
    "from_json",
    "to_json",
    "unknown_name",
]
