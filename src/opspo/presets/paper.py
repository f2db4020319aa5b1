"""The paper's settings: Tables 2 to 4, and A2PO's public ones for what they leave out.

Table 2 is SMAC (and here, for maps of the same name, SMAX), Table 3 MA-MuJoCo, Table 4 Google
Research Football. Their column "γ" is λ (erratum E1). "Parameters not mentioned are A2PO's": those
of A2PO-ICLR2023 at c953380, where its code has the baselines too; the settings of an algorithm are
those of the line "# A2PO", "# HAPPO" … of the script for the task. docs/paper.md says where that
code differs from the papers, and which of the two is taken. What neither says stays at the
library's default: among it λ = 0.95 for MAPPO, CoPPO and HAPPO.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from opspo.algorithms import ALGORITHMS, DensityConfig
from opspo.algorithms.names import OrderName
from opspo.config import OptimiserConfig, PolicyConfig, RolloutConfig, TrainConfig, ValueConfig
from opspo.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class Row:
    """One task: the paper's table for OPSPO, then A2PO's settings for it and for the baselines."""

    epochs: int
    gae_lambda: float
    clip: float
    """ε1"""
    others_clip: float
    """ε2"""
    a2po: tuple[int, float]
    """epochs, λ"""
    baseline_epochs: int = 5
    """of MAPPO, CoPPO, HAPPO (and IPPO, which the paper does not run)"""
    baseline_clip: float = 0.2
    """ε of all but OPSPO; their ε2 is half of it"""
    num_envs: int = 10
    total_steps: int = 10_000_000
    blocks: int = 2
    recurrent: bool = True
    minibatches: int = 1
    output_gain: float = 0.01
    two_stage: bool = True
    """A2PO's critic takes a pass of its own before each epoch (`use_two_stage`)"""
    learning_rate: float = 5e-4
    happo_order: OrderName = "random"
    happo_clips_own_ratio: bool = False
    """As its paper does (`clip_before_prod`), not the product with the others' ratio"""


_NARROW: dict[str, Any] = {"baseline_clip": 0.05, "happo_clips_own_ratio": True}
SMAC = {  # Table 2
    "8m_vs_9m": Row(15, 0.95, 0.2, 0.05, (15, 0.95), 15, blocks=5, **_NARROW),
    "5m_vs_6m": Row(10, 0.93, 0.1, 0.05, (10, 0.93), 10, num_envs=16, **_NARROW),
    "3s5z": Row(10, 0.95, 0.2, 0.05, (8, 0.95), blocks=3),
    "10m_vs_11m": Row(10, 0.95, 0.2, 0.05, (10, 0.97), 10),
    "MMM2": Row(10, 0.95, 0.2, 0.05, (5, 0.95), minibatches=2, output_gain=1.0),
    "3s5z_vs_3s6z": Row(8, 0.90, 0.2, 0.1, (5, 0.90), two_stage=False),
    "27m_vs_30m": Row(8, 0.95, 0.2, 0.05, (5, 0.95), blocks=3),
    "6h_vs_8z": Row(
        8, 0.95, 0.2, 0.1, (8, 0.99), total_steps=15_000_000, recurrent=False, two_stage=False
    ),
    "corridor": Row(8, 0.95, 0.2, 0.1, (5, 0.95), recurrent=False),
}
_MUJOCO: dict[str, Any] = {"num_envs": 16, "learning_rate": 3e-4}
MUJOCO = {  # Table 3
    "Ant-8x1": Row(8, 0.93, 0.2, 0.1, (8, 0.93), **_MUJOCO | {"num_envs": 25}),
    "Walker2d-6x1": Row(8, 0.93, 0.2, 0.1, (5, 0.93), happo_order="greedy", **_MUJOCO),
    "Hopper-3x1": Row(
        8, 0.95, 0.1, 0.05, (8, 0.95), baseline_clip=0.1, num_envs=16, learning_rate=1e-4
    ),
    "HalfCheetah-6x1": Row(8, 0.93, 0.2, 0.1, (5, 0.93), **_MUJOCO),
    "Humanoid-9|8": Row(8, 0.90, 0.2, 0.05, (5, 0.90), **_MUJOCO | {"num_envs": 25}),
    "HumanoidStandup-9|8": Row(8, 0.93, 0.2, 0.05, (8, 0.93), **_MUJOCO),
}
FOOTBALL = {  # Table 4
    "5_vs_5": Row(
        *(15, 0.95, 0.2, 0.1, (10, 0.95), 10),
        baseline_clip=0.25,
        num_envs=24,
        total_steps=100_000_000,
        happo_clips_own_ratio=True,
    ),
}


@dataclass(frozen=True)
class Family:
    """What a benchmark's tasks have in common."""

    rows: dict[str, Row]
    steps_per_iteration: int
    shared: bool
    entropy_coefficient: float
    state_weight: str
    width: int = 64
    baseline_critic: str = "central"
    """of all but OPSPO, whose ω and Algorithm 1 have one V of the state"""
    gamma: float = 0.99
    outer_steps: int = 10
    """ω_e; f_e is 5 throughout"""
    iterations: int = 20
    """ω_n"""


# with shared parameters the paper weights states step-wise
_SMAC = Family(SMAC, 3200, shared=True, entropy_coefficient=0.01, state_weight="stepwise")
FAMILIES = {
    "smac": _SMAC,
    "smax": _SMAC,
    "mamujoco": Family(MUJOCO, 4000, shared=False, entropy_coefficient=0.0, state_weight="minimax"),
    "football": Family(
        FOOTBALL,
        24 * 3000,  # whole episodes
        shared=False,
        entropy_coefficient=0.001,
        state_weight="minimax",
        width=128,
        baseline_critic="local",  # use_centralized_V: False, onpolicy/config/grf.yaml
        gamma=0.995,
        outer_steps=5,
        iterations=10,
    ),
}


def tasks() -> tuple[str, ...]:
    """The environments that have a row."""
    return tuple(f"{name}/{task}" for name, family in FAMILIES.items() for task in family.rows)


def paper(env: str, algo: str) -> TrainConfig:
    """The paper's settings for a task and an algorithm.

    Raises:
        ConfigError: the paper has no such task, or there is no such algorithm.
    """
    if algo not in ALGORITHMS:
        raise unknown_name("algorithm", algo, ALGORITHMS)
    if env not in tasks():
        raise ConfigError(
            f"preset: the paper has no settings for env '{env}'. It has some for "
            f"{', '.join(tasks())}. `opspo envs` lists what can be run."
        )
    name, task = env.split("/", 1)
    family = FAMILIES[name]
    row = family.rows[task]
    algorithm = _algorithm(algo, family, row)
    return TrainConfig(
        env=env,
        algo=algo,
        total_steps=row.total_steps,
        rollout=RolloutConfig(
            num_envs=row.num_envs, num_steps=family.steps_per_iteration // row.num_envs
        ),
        policy=PolicyConfig(
            share_parameters=family.shared,
            # MLPLayer is one layer and layer_N = 2 more, RNNLayer ends in layer_after_N = 1
            hidden_sizes=(family.width,) * 3,
            recurrent=row.recurrent,
            output_sizes=(family.width,) if row.recurrent else (),
            output_gain=row.output_gain,
            # each vector over its own features; the observation tells agents apart, or is SMAC's
            # own, where A2PO appends the number and the last action
            layer_norm=True,
            running_normalisation=False,
            agent_id=False,
        ),
        optimiser=OptimiserConfig(
            actor_learning_rate=row.learning_rate, critic_learning_rate=row.learning_rate
        ),
        # A2PO's public code bounds the critic's move by the policy's ε, and has MAPPO's ValueNorm
        value=ValueConfig(
            clip=algorithm.clip,
            statistics="step",
            decay=0.99999,
            least_deviation=0.1,
            mask_dead=False,
        ),
        algorithm=algorithm,
    )


def _algorithm(algo: str, family: Family, row: Row) -> Any:
    baseline: dict[str, Any] = {
        "clip": row.baseline_clip,
        "others_clip": row.baseline_clip / 2,
        "critic": family.baseline_critic,
    }
    own: dict[str, dict[str, Any]] = {
        "opspo": {
            "epochs": row.epochs,
            "gae_lambda": row.gae_lambda,
            "clip": row.clip,
            "others_clip": row.others_clip,
            "action_ratio": "mean",  # Section 5
            "state_weight": family.state_weight,
            "density": DensityConfig(
                outer_steps=family.outer_steps, inner_steps=5, iterations=family.iterations
            ),
        },
        "a2po": baseline | _a2po(family, row),
        "happo": baseline | _happo(row),
        "ippo": baseline | {"epochs": row.baseline_epochs, "critic": "local"},
    }
    config = ALGORITHMS[algo](
        gamma=family.gamma,
        entropy_coefficient=family.entropy_coefficient,
        minibatches=row.minibatches,
        **own.get(algo, baseline | {"epochs": row.baseline_epochs}),
    )
    if not config.sequential:
        return config
    # sequential_train of A2PO's public code, onpolicy/algorithms/r_mappo/r_mappo.py; HAPPO's
    # critic, too, takes a step with each of the agents' there (HARL trains it after all of them)
    return replace(config, blocks=row.blocks, block_epochs="divided")  # type: ignore[call-arg]


def _happo(row: Row) -> dict[str, Any]:
    """HAPPO as A2PO's public code runs it."""
    return {
        "epochs": row.baseline_epochs,
        "order": row.happo_order,
        "clip_range": "ratio" if row.happo_clips_own_ratio else "joint",
    }


def _a2po(family: Family, row: Row) -> dict[str, Any]:
    """What A2PO alone has, as in its public code and scripts."""
    epochs, gae_lambda = row.a2po
    return {
        "epochs": epochs,
        "gae_lambda": gae_lambda,
        "extra_critic_passes": int(row.two_stage),
        "trace_decay": "twice",  # no line "# A2PO" sets speedup_trace
        "trace_agents": "all",
        # its new targets are written into a copy: the critic learns the returns of collection
        "value_target": "gae",
        # clip_param_weight_rp, with shared parameters
        "clip_range": "double_by_ratios" if family.shared else "double_by_position",
    }
