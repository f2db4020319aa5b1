"""Every setting of a run: frozen, typed, documented field by field, checked when it is made.

Nothing here imports JAX, so that the command line answers at once.
"""

from opspo.config.algorithm import AlgorithmConfig, SequentialConfig
from opspo.config.algorithms import (
    ALGORITHM_CONFIGS,
    A2POConfig,
    CoPPOConfig,
    HAPPOConfig,
    IPPOConfig,
    MAPPOConfig,
    OPSPOConfig,
)
from opspo.config.checkpoints import parse_checkpoint
from opspo.config.density import DensityConfig
from opspo.config.errors import ConfigError, unknown_name
from opspo.config.files import from_json, to_json, to_plain
from opspo.config.hosts import Hosts, parse_hosts
from opspo.config.parts import (
    LEAST_NORMALISED,
    CheckpointConfig,
    EvaluationConfig,
    OptimiserConfig,
    PolicyConfig,
    RolloutConfig,
    ValueConfig,
)
from opspo.config.run import TrainConfig
from opspo.config.seeds import parse_seeds

__all__ = [
    "ALGORITHM_CONFIGS",
    "LEAST_NORMALISED",
    "A2POConfig",
    "AlgorithmConfig",
    "CheckpointConfig",
    "CoPPOConfig",
    "ConfigError",
    "DensityConfig",
    "EvaluationConfig",
    "HAPPOConfig",
    "Hosts",
    "IPPOConfig",
    "MAPPOConfig",
    "OPSPOConfig",
    "OptimiserConfig",
    "PolicyConfig",
    "RolloutConfig",
    "SequentialConfig",
    "TrainConfig",
    "ValueConfig",
    "from_json",
    "parse_checkpoint",
    "parse_hosts",
    "parse_seeds",
    "to_json",
    "to_plain",
    "unknown_name",
]
