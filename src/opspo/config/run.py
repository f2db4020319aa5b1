"""The settings of one run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from opspo.algorithms import ALGORITHMS, OPSPOConfig
from opspo.algorithms.common import (
    NEEDS_CENTRAL_CRITIC,
    NEEDS_SEPARATE_PARAMETERS,
    AlgorithmConfig,
)
from opspo.config.parts import (
    CheckpointConfig,
    EvaluationConfig,
    OptimiserConfig,
    PolicyConfig,
    RolloutConfig,
    ValueConfig,
)
from opspo.errors import require, unknown_name


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run."""

    env: str = "smax/3m"
    """Environment id; `opspo envs` lists them."""
    algo: str = "opspo"
    """Algorithm; `opspo algos` lists them."""
    seed: int = 0
    """Seed of everything random in the run."""
    total_steps: int = 1_000_000
    """Environment steps to train for, rounded up to whole iterations."""
    run_dir: str = ""
    """Folder of the run; by default `runs/<env>-<algo>-seed<seed>`."""
    devices: int = 1
    """Number of devices to divide the environments over; a CPU is split into as many."""
    tensorboard: bool = True
    """Write TensorBoard events in addition to metrics.jsonl."""
    bound_estimates: bool = False
    """Log estimates of the bound on the surrogate's error, for each agent in the order."""
    composed_by: Annotated[str, tyro.conf.Suppress] = ""
    """`module:function` of the user's own function that composed the algorithm, where one did."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    value: ValueConfig = field(default_factory=ValueConfig)
    algorithm: AlgorithmConfig = field(default_factory=OPSPOConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        self._check_algo()
        require(0 <= self.seed < 2**31 - 2**20, "seed", "from 0 to 2,146,435,071", self.seed)
        require(self.total_steps >= 1, "total_steps", "at least 1", self.total_steps)
        require(
            self.devices >= 1 and self.rollout.num_envs % self.devices == 0,
            "devices",
            f"a divisor of rollout.num_envs = {self.rollout.num_envs}",
            self.devices,
        )
        require(
            not self.policy.recurrent or self.rollout.num_steps % self.policy.chunk_length == 0,
            "rollout.num_steps",
            f"a multiple of policy.chunk_length = {self.policy.chunk_length}",
            self.rollout.num_steps,
        )
        chunks = self.rollout.num_envs * self.rollout.num_steps // self.chunk_length
        require(
            chunks % self.algorithm.minibatches == 0,
            "algorithm.minibatches",
            f"a divisor of the {chunks} sequences in a batch",
            self.algorithm.minibatches,
        )
        self._check_algorithm()

    def _check_algo(self) -> None:
        """The algorithm's name is that of its declaration, of this package or the user's own."""
        if type(self.algorithm) not in ALGORITHMS.values():
            name = type(self.algorithm).name
            require(self.algo == name, "algo", f"'{name}', as algorithm declares it", self.algo)
            return
        if self.algo not in ALGORITHMS:
            raise unknown_name("algorithm", self.algo, ALGORITHMS)
        expected = ALGORITHMS[self.algo]
        require(
            isinstance(self.algorithm, expected),
            "algorithm",
            f"an {expected.__name__} where algo is '{self.algo}'",
            self.algorithm,
        )

    def _check_algorithm(self) -> None:
        """What an algorithm requires of the other sections."""
        require(
            self.devices == 1 or not self.algorithm.reuse,
            "devices",
            "1 where algorithm.reuse puts earlier batches beside each other",
            self.devices,
        )
        require(
            self.rollout.num_steps >= 2 or self.algorithm.state_weight not in NEEDS_CENTRAL_CRITIC,
            "rollout.num_steps",
            f"at least 2 where algorithm.state_weight is '{self.algorithm.state_weight}'",
            self.rollout.num_steps,
        )
        require(
            not self.policy.share_parameters
            or self.algorithm.state_weight not in NEEDS_SEPARATE_PARAMETERS,
            "algorithm.state_weight",
            "none, stepwise, stepwise_inclusive, stepwise_printed or linear where "
            "policy.share_parameters is on: every gradient step then moves all agents, too often "
            "to train a density ratio for each",
            self.algorithm.state_weight,
        )

        require(
            self.algorithm.clip_range != "double_by_ratios"
            or (self.algorithm.sequential and self.policy.share_parameters),
            "algorithm.clip_range",
            "another than 'double_by_ratios' (such as 'double_by_position') unless the algorithm "
            "is sequential and policy.share_parameters is on: otherwise no agent has moved when a "
            "round begins",
            self.algorithm.clip_range,
        )

    @property
    def chunk_length(self) -> int:
        """Length of the sequences that the update works on: 1 without memory."""
        return self.policy.chunk_length if self.policy.recurrent else 1

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps collected in one iteration."""
        return self.rollout.num_envs * self.rollout.num_steps

    @property
    def iterations(self) -> int:
        """Iterations that reach `total_steps`."""
        return -(-self.total_steps // self.steps_per_iteration)

    @property
    def folder(self) -> Path:
        """The run folder."""
        task = re.sub(r"[^\w.]+", "-", self.env)
        return Path(self.run_dir or f"runs/{task}-{self.algo}-seed{self.seed}")
