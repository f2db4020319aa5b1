"""Trust-region multi-agent reinforcement learning in JAX: OPSPO and its rivals from one core."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opspo.algorithms import (
        ALGORITHMS,
        A2POConfig,
        AlgorithmConfig,
        CoPPOConfig,
        DensityConfig,
        HAPPOConfig,
        IPPOConfig,
        MAPPOConfig,
        OPSPOConfig,
        SequentialConfig,
    )
    from opspo.config import (
        CheckpointConfig,
        EvaluationConfig,
        OptimiserConfig,
        PolicyConfig,
        Processes,
        RolloutConfig,
        TrainConfig,
        ValueConfig,
    )
    from opspo.environments import make_env
    from opspo.environments.base import (
        Environment,
        EnvironmentSpec,
        HostBatch,
        HostEnvironment,
        JaxEnvironment,
        Observation,
        Step,
    )
    from opspo.environments.checks.check_env import check_env
    from opspo.environments.checks.findings import Report
    from opspo.environments.pettingzoo import from_pettingzoo
    from opspo.environments.starcraft import from_smac
    from opspo.errors import ConfigError, EngineError, Interrupted, RunError, TrainingError
    from opspo.evaluate import Evaluation
    from opspo.fidelity.candidates import Candidate
    from opspo.fidelity.extent import Extent
    from opspo.fidelity.of_run import measure_fidelity
    from opspo.policies.networks import Networks
    from opspo.policy import Policy, load_policy
    from opspo.presets import default_config
    from opspo.rendering.film import watch
    from opspo.training.evaluate_run import evaluate_run
    from opspo.training.loop import Result
    from opspo.training.resuming import resume
    from opspo.training.trainer import train, train_seeds
    from opspo.update.algorithm import Algorithm
    from opspo.update.compose import compose

__version__ = "0.1.0"

# Name → module. Loaded at first use: JAX takes a second, an engine four.
_PUBLIC = {
    "A2POConfig": "opspo.algorithms",
    "ALGORITHMS": "opspo.algorithms",
    "Algorithm": "opspo.update.algorithm",
    "AlgorithmConfig": "opspo.algorithms",
    "Candidate": "opspo.fidelity.candidates",
    "CheckpointConfig": "opspo.config",
    "CoPPOConfig": "opspo.algorithms",
    "ConfigError": "opspo.errors",
    "DensityConfig": "opspo.algorithms",
    "EngineError": "opspo.errors",
    "Environment": "opspo.environments.base",
    "EnvironmentSpec": "opspo.environments.base",
    "Evaluation": "opspo.evaluate",
    "Extent": "opspo.fidelity.extent",
    "EvaluationConfig": "opspo.config",
    "HAPPOConfig": "opspo.algorithms",
    "HostBatch": "opspo.environments.base",
    "HostEnvironment": "opspo.environments.base",
    "IPPOConfig": "opspo.algorithms",
    "Interrupted": "opspo.errors",
    "JaxEnvironment": "opspo.environments.base",
    "MAPPOConfig": "opspo.algorithms",
    "Networks": "opspo.policies.networks",
    "OPSPOConfig": "opspo.algorithms",
    "Observation": "opspo.environments.base",
    "OptimiserConfig": "opspo.config",
    "Policy": "opspo.policy",
    "PolicyConfig": "opspo.config",
    "Processes": "opspo.config",
    "Report": "opspo.environments.checks.findings",
    "Result": "opspo.training.loop",
    "RolloutConfig": "opspo.config",
    "RunError": "opspo.errors",
    "SequentialConfig": "opspo.algorithms",
    "Step": "opspo.environments.base",
    "TrainConfig": "opspo.config",
    "TrainingError": "opspo.errors",
    "ValueConfig": "opspo.config",
    "check_env": "opspo.environments.checks.check_env",
    "compose": "opspo.update.compose",
    "default_config": "opspo.presets",
    "evaluate_run": "opspo.training.evaluate_run",
    "from_pettingzoo": "opspo.environments.pettingzoo",
    "from_smac": "opspo.environments.starcraft",
    "load_policy": "opspo.policy",
    "make_env": "opspo.environments",
    "measure_fidelity": "opspo.fidelity.of_run",
    "resume": "opspo.training.resuming",
    "train": "opspo.training.trainer",
    "train_seeds": "opspo.training.trainer",
    "watch": "opspo.rendering.film",
}

__all__ = [
    "ALGORITHMS",
    "A2POConfig",
    "Algorithm",
    "AlgorithmConfig",
    "Candidate",
    "CheckpointConfig",
    "CoPPOConfig",
    "ConfigError",
    "DensityConfig",
    "EngineError",
    "Environment",
    "EnvironmentSpec",
    "Evaluation",
    "EvaluationConfig",
    "Extent",
    "HAPPOConfig",
    "HostBatch",
    "HostEnvironment",
    "IPPOConfig",
    "Interrupted",
    "JaxEnvironment",
    "MAPPOConfig",
    "Networks",
    "OPSPOConfig",
    "Observation",
    "OptimiserConfig",
    "Policy",
    "PolicyConfig",
    "Processes",
    "Report",
    "Result",
    "RolloutConfig",
    "RunError",
    "SequentialConfig",
    "Step",
    "TrainConfig",
    "TrainingError",
    "ValueConfig",
    "check_env",
    "compose",
    "default_config",
    "evaluate_run",
    "from_pettingzoo",
    "from_smac",
    "load_policy",
    "make_env",
    "measure_fidelity",
    "resume",
    "train",
    "train_seeds",
    "watch",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'opspo' has no attribute '{name}'")
    from importlib import import_module  # noqa: PLC0415

    return getattr(import_module(_PUBLIC[name]), name)
