"""Every setting that shapes what is learned, written out, for presets that must not move.

A default may move when a better one is found; what a paper did stays. So the presets `paper` and
`literal` start from here, and rest on no default of the config classes.
"""

from __future__ import annotations

from typing import Any

from opspo.algorithms import ALGORITHMS, AlgorithmConfig, DensityConfig
from opspo.config import (
    OptimiserConfig,
    PolicyConfig,
    RolloutConfig,
    TrainConfig,
    ValueConfig,
)
from opspo.errors import ConfigError


def written_out(env: str, algo: str) -> TrainConfig:
    """A plain run of an algorithm: what the paper's tables and A2PO's settings leave open.

    Raises:
        ConfigError: the algorithm came later than the papers.
    """
    if algo not in CHOICES:
        raise ConfigError(
            f"preset: the papers have no settings for algo '{algo}'. They have some for "
            f"{', '.join(CHOICES)}. Take --preset default."
        )
    return TrainConfig(
        env=env,
        algo=algo,
        total_steps=1_000_000,
        rollout=RolloutConfig(num_envs=32, num_steps=100, groups=1),
        policy=PolicyConfig(
            share_parameters=True,
            hidden_sizes=(64, 64),
            activation="relu",
            agent_id=True,
            layer_norm=True,
            recurrent=False,
            output_sizes=(),
            chunk_length=10,
            running_normalisation=True,
            output_gain=0.01,
            initial_log_std=-0.5,
        ),
        optimiser=OptimiserConfig(
            actor_learning_rate=5e-4,
            critic_learning_rate=5e-4,
            anneal=False,
            adam_epsilon=1e-5,
            max_grad_norm=10.0,
        ),
        value=ValueConfig(
            huber_delta=10.0,
            clip=0.2,
            normalise=True,
            statistics="iteration",
            decay=0.99,
            least_deviation=0.01,
            mask_dead=False,
        ),
        algorithm=_algorithm(algo),
    )


def _density() -> DensityConfig:
    return DensityConfig(
        equation="stationary",
        features="critic",
        num_features=64,
        ridge=0.03,
        hidden_sizes=(64, 64),
        learning_rate=1e-3,
        test_pace=10.0,
        outer_steps=10,
        inner_steps=5,
        iterations=20,
        samples=200,
        batch_size=512,
        warm_start=True,
        printed=False,
    )


COMMON: dict[str, Any] = {
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "epochs": 10,
    "minibatches": 1,
    "reuse": 0,
    "extra_critic_passes": 0,
    "critic_epochs": 0,
    "entropy_coefficient": 0.01,
    "critic": "central",
    "normalise_advantage": True,
    "action_ratio": "product",
    "advantage": "gae",
    "action_head_rate": 1e-4,
    "action_head_steps": 10,
    "baseline": "none",
    "baseline_ridge": 1e-3,
    "value_target": "advantage",
    "trace_clip": 1.0,
    "trace_decay": "factor",
    "state_weight": "none",
    "state_weight_min": 0.0,
    "state_weight_max": 1.0,
    "clip_range": "ppo",
    "clip": 0.2,
    "others_clip": 0.1,
    "normalise_weight": False,
}
SEQUENTIAL: dict[str, Any] = {
    "order": "semi_greedy",
    "blocks": 2,
    "block_epochs": "all",
    "cumulative_blocks": True,
    "trace_agents": "others",
    "weight_agents": "others",
    "values": "collected",
}
CHOICES: dict[str, dict[str, Any]] = {
    "ippo": {"critic": "local"},
    "mappo": {},
    "coppo": {"clip_range": "double"},
    "happo": SEQUENTIAL | {"order": "random", "clip_range": "ratio"},
    "a2po": SEQUENTIAL | {"advantage": "trace", "clip_range": "double_by_position"},
    "opspo": SEQUENTIAL
    | {"advantage": "trace", "state_weight": "stepwise", "clip_range": "corrected"},
}


def _algorithm(algo: str) -> AlgorithmConfig:
    return ALGORITHMS[algo](**COMMON | {"density": _density()} | CHOICES[algo])
