"""Every setting of a run: frozen, typed, documented field by field, checked when it is made.

This module imports no JAX, so that the command line answers at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_type_hints

AdvantageName = Literal["gae", "td", "vtrace_next", "trace"]
ValueTargetName = Literal["advantage", "printed", "gae"]
StateWeightName = Literal["none", "stepwise", "stepwise_inclusive"]
ClipRangeName = Literal["ppo", "corrected"]
OrderName = Literal[
    "cyclic",
    "reverse_cyclic",
    "random",
    "greedy",
    "reverse_greedy",
    "semi_greedy",
    "reverse_semi_greedy",
]


class ConfigError(ValueError):
    """A setting is unknown or out of range; the message names the field and the mend."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """An error for a name that does not exist: it lists what does, the nearest first."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ConfigError(f"Unknown {kind} '{name}'.{hint} There are: {', '.join(names)}.")


def _require(ok: bool, name: str, rule: str, value: object) -> None:
    if not ok:
        raise ConfigError(f"{name} must be {rule}, but is {value!r}.")


@dataclass(frozen=True, kw_only=True)
class RolloutConfig:
    """How much is collected before each update."""

    num_envs: int = 32
    """Environments stepped side by side."""
    num_steps: int = 100
    """Steps of each environment in one iteration."""

    def __post_init__(self) -> None:
        _require(self.num_envs >= 1, "rollout.num_envs", "at least 1", self.num_envs)
        _require(self.num_steps >= 1, "rollout.num_steps", "at least 1", self.num_steps)


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """Networks of the actors and of the critic."""

    share_parameters: bool = True
    """One set of actor parameters for all agents (SMAC), or one set for each (MA-MuJoCo, GRF)."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, the last of them also the width of the GRU."""
    activation: Literal["relu", "tanh"] = "relu"
    """Non-linearity of the hidden layers."""
    recurrent: bool = False
    """Put a GRU behind the hidden layers of actor and critic."""
    chunk_length: int = 10
    """Steps through which gradients flow back in a recurrent network."""
    output_gain: float = 0.01
    """Scale of the orthogonal initialisation of the actor's last layer."""
    initial_log_std: float = -0.5
    """Initial log standard deviation of continuous actions."""

    def __post_init__(self) -> None:
        _require(
            len(self.hidden_sizes) >= 1 and min(self.hidden_sizes) >= 1,
            "policy.hidden_sizes",
            "one or more positive widths",
            self.hidden_sizes,
        )
        _require(self.chunk_length >= 1, "policy.chunk_length", "at least 1", self.chunk_length)


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """Adam for actors and critic, with a bound on each one's gradient norm."""

    actor_learning_rate: float = 5e-4
    """Step size of the actors."""
    critic_learning_rate: float = 5e-4
    """Step size of the critic."""
    adam_epsilon: float = 1e-5
    """Adam's denominator offset."""
    max_grad_norm: float = 10.0
    """Gradients longer than this are scaled down to it, for each agent and for the critic."""

    def __post_init__(self) -> None:
        for name in ("actor_learning_rate", "critic_learning_rate", "adam_epsilon"):
            _require(getattr(self, name) > 0, f"optimiser.{name}", "positive", getattr(self, name))
        _require(
            self.max_grad_norm > 0, "optimiser.max_grad_norm", "positive", self.max_grad_norm
        )


@dataclass(frozen=True, kw_only=True)
class ValueConfig:
    """How the critic is trained."""

    huber_delta: float = 10.0
    """Errors beyond this, in normalised units, count linearly."""
    clip: float = 0.2
    """Bound on the move away from the value at collection, in normalised units; 0: none."""
    normalise: bool = True
    """Train on targets scaled to zero mean and unit variance by running statistics."""
    decay: float = 0.99
    """Decay of those statistics, an iteration."""

    def __post_init__(self) -> None:
        _require(self.huber_delta > 0, "value.huber_delta", "positive", self.huber_delta)
        _require(self.clip >= 0, "value.clip", "0 or more", self.clip)
        _require(0 <= self.decay < 1, "value.decay", "in [0, 1)", self.decay)


@dataclass(frozen=True, kw_only=True)
class AlgorithmConfig:
    """What every algorithm has; each one's own class adds its numbers and moves the defaults."""

    name: ClassVar[str]

    gamma: float = 0.99
    """Discount a step."""
    gae_lambda: float = 0.95
    """Decay λ of the advantage traces (the paper's tables print it as γ, erratum E1)."""
    epochs: int = 10
    """Passes over the batch in each iteration."""
    minibatches: int = 1
    """Parts into which each pass is cut."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    normalise_advantage: bool = True
    """Scale advantages to zero mean and unit variance over the living agents' samples."""
    advantage: AdvantageName = "gae"
    """Advantage estimator: `gae`, or AEC as `td`, `vtrace_next` or `trace` (erratum E3)."""
    value_target: ValueTargetName = "advantage"
    """Critic target: V + advantage, Eq. 14 as `printed`, or the plain `gae` return."""
    state_weight: StateWeightName = "none"
    """SDC: `none`, or step-wise importance sampling over earlier (`stepwise`) or earlier and
    present actions (`stepwise_inclusive`, as printed; erratum E6)."""
    clip_range: ClipRangeName = "ppo"
    """`ppo`: 1 ± clip. `corrected`: the range and weight of CRC (Section 3.3)."""
    clip: float = 0.2
    """ε, or ε1 of the corrected range."""
    others_clip: float = 0.1
    """ε2, the least reach of the corrected range."""
    normalise_weight: bool = False
    """Scale the weights of the objective to mean 1 over the living agents' samples."""

    def __post_init__(self) -> None:
        _require(0 < self.gamma <= 1, "algorithm.gamma", "in (0, 1]", self.gamma)
        _require(0 <= self.gae_lambda <= 1, "algorithm.gae_lambda", "in [0, 1]", self.gae_lambda)
        for name in ("epochs", "minibatches"):
            _require(
                getattr(self, name) >= 1, f"algorithm.{name}", "at least 1", getattr(self, name)
            )
        _require(0 < self.clip < 1, "algorithm.clip", "in (0, 1)", self.clip)
        _require(
            self.clip_range == "ppo" or 0 < self.others_clip < self.clip,
            "algorithm.others_clip",
            f"in (0, algorithm.clip = {self.clip})",
            self.others_clip,
        )


@dataclass(frozen=True, kw_only=True)
class MAPPOConfig(AlgorithmConfig):
    """MAPPO: all agents at once, each by PPO's clipped objective with one central critic."""

    name: ClassVar[str] = "mappo"


@dataclass(frozen=True, kw_only=True)
class OPSPOConfig(AlgorithmConfig):
    """OPSPO: agents one after another, corrected for what their team-mates have changed."""

    name: ClassVar[str] = "opspo"

    advantage: AdvantageName = "trace"
    state_weight: StateWeightName = "stepwise"
    clip_range: ClipRangeName = "corrected"
    order: OrderName = "semi_greedy"
    """Order in which agents are updated (erratum E10)."""
    blocks: int = 2
    """Shared parameters: groups into which the order is cut; each is one update an epoch."""
    cumulative_blocks: bool = True
    """Shared parameters: a group's update includes the groups before it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.blocks >= 1, "algorithm.blocks", "at least 1", self.blocks)


ALGORITHM_CONFIGS: dict[str, type[AlgorithmConfig]] = {
    config.name: config for config in (OPSPOConfig, MAPPOConfig)
}


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """Evaluation of the policy during training and at its end."""

    every_steps: int = 100_000
    """Environment steps between evaluations; 0: only at the end."""
    episodes: int = 32
    """Episodes of each evaluation on the way."""
    final_episodes: int = 200
    """Episodes of the evaluation at the end; 0: none."""
    greedy: bool = True
    """Take the most probable action (else sample)."""


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Saving of the whole training state."""

    every_steps: int = 100_000
    """Environment steps between checkpoints; one is always written at the end."""
    keep: int = 3
    """How many of the latest to keep, beside the best."""

    def __post_init__(self) -> None:
        _require(self.every_steps >= 1, "checkpoint.every_steps", "at least 1", self.every_steps)
        _require(self.keep >= 1, "checkpoint.keep", "at least 1", self.keep)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run."""

    env: str = "smax/3m"
    """Environment id; `opspo envs` lists them."""
    algo: str = "opspo"
    """Algorithm; `opspo algos` lists them."""
    seed: int = 0
    """Everything random in the run follows from it."""
    total_steps: int = 1_000_000
    """Environment steps to train for, rounded up to whole iterations."""
    run_dir: str = ""
    """Folder of the run; by default runs/<env>-<algo>-seed<seed>."""
    tensorboard: bool = True
    """Write TensorBoard events beside metrics.jsonl."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    value: ValueConfig = field(default_factory=ValueConfig)
    algorithm: AlgorithmConfig = field(default_factory=OPSPOConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)

    def __post_init__(self) -> None:
        if self.algo not in ALGORITHM_CONFIGS:
            raise unknown_name("algorithm", self.algo, ALGORITHM_CONFIGS)
        expected = ALGORITHM_CONFIGS[self.algo]
        _require(
            isinstance(self.algorithm, expected),
            "algorithm",
            f"an {expected.__name__} where algo is '{self.algo}'",
            self.algorithm,
        )
        _require(self.total_steps >= 1, "total_steps", "at least 1", self.total_steps)
        _require(
            not self.policy.recurrent or self.rollout.num_steps % self.policy.chunk_length == 0,
            "rollout.num_steps",
            f"a multiple of policy.chunk_length = {self.policy.chunk_length}",
            self.rollout.num_steps,
        )
        chunks = self.rollout.num_envs * self.rollout.num_steps // self.chunk_length
        _require(
            chunks % self.algorithm.minibatches == 0,
            "algorithm.minibatches",
            f"a divisor of the {chunks} sequences in a batch",
            self.algorithm.minibatches,
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
        task = self.env.replace("/", "-")
        return Path(self.run_dir or f"runs/{task}-{self.algo}-seed{self.seed}")


def to_json(config: TrainConfig) -> str:
    """The complete configuration as JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> TrainConfig:
    """Read what `to_json` wrote; an unknown or ill-typed field is a `ConfigError`."""
    try:
        data = json.loads(text)
        algorithm = ALGORITHM_CONFIGS.get(data["algo"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"The configuration cannot be read: {error!r}") from error
    if algorithm is None:
        raise unknown_name("algorithm", data["algo"], ALGORITHM_CONFIGS)
    return _parse(TrainConfig, data, algorithm)


def _parse(cls: type[Any], data: dict[str, Any], algorithm: type[AlgorithmConfig]) -> Any:
    import pydantic  # noqa: PLC0415  (only readers of a run folder need it)

    types = get_type_hints(cls)
    fields = {item.name for item in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in fields:
            raise unknown_name(f"field of {cls.__name__}", key, fields)
        part = algorithm if types[key] is AlgorithmConfig else types[key]
        nested = dataclasses.is_dataclass(part) and isinstance(value, dict)
        values[key] = _parse(part, value, algorithm) if nested else value
    try:
        return pydantic.TypeAdapter(cls).validate_python(values)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{cls.__name__} cannot be read: {error}") from error
