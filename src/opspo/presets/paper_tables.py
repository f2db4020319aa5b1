"""The rows of the paper's Tables 2 to 4, with A2PO's settings for each task; `paper` reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opspo.algorithms.names import OrderName


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
