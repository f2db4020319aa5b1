"""An algorithm of your own: HAPPO with n-step advantages and a weight of your choice.

    python examples/own_algorithm.py

docs/algorithms/own.md says what a term can ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

import opspo
from opspo.estimators import going_on, shifted, td_error

Array = jax.Array


def n_step(
    reward: Array, value: Array, next_value: Array, done: Array, *, gamma: float, horizon: int
) -> Array:
    """A_t = Σ_{k<n} γ^k δ_{t+k}, up to the episode's end; arrays are [T, E, M]."""
    delta = td_error(reward, value, next_value, gamma=gamma)
    total = delta
    for _ in range(horizon - 1):
        total = delta + gamma * going_on(done, delta) * shifted(total)
    return total


def power(log_ratio: Array, *, clip: float, push: float) -> tuple[Array, Array, Array]:
    """Weight r^push and range 1 ± ε; push = 1 is HAPPO."""
    return jnp.exp(push * log_ratio), jnp.asarray(1 - clip), jnp.asarray(1 + clip)


@dataclass(frozen=True, kw_only=True)
class OwnConfig(opspo.HAPPOConfig):
    """HAPPO with two terms of one's own, and their numbers."""

    name: ClassVar[str] = "own"
    advantage: Any = n_step
    clip_range: Any = power
    horizon: int = 3
    push: float = 0.5


if __name__ == "__main__":
    config = opspo.TrainConfig(
        env="probe/coordination",
        total_steps=12_800,
        run_dir="runs/own",
        rollout=opspo.RolloutConfig(num_envs=16, num_steps=16),
        policy=opspo.PolicyConfig(hidden_sizes=(16,), share_parameters=False),
        optimiser=opspo.OptimiserConfig(actor_learning_rate=3e-3, critic_learning_rate=3e-3),
    )
    result = opspo.train(config, algorithm=OwnConfig(epochs=5), overwrite=True)
    if result.evaluation:
        print(f"mean return: {result.evaluation.mean_return:.2f} of 1")
