"""Diagnostics of an iteration: its episodes, faults, and how off-policy each stage was."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from opspo.estimators.normalise import masked_means
from opspo.estimators.ratios import effective_sample_size
from opspo.types import Array, Correction, StageData, TrainState, Trajectory


def diagnose(data: StageData, correction: Correction, mask: Array) -> dict[str, Array]:
    """How off-policy a stage's data were.

    Args:
        data: at the start of the stage.
        correction: of that stage.
        mask: [T, E, K] bool, alive and under update.

    Returns:
        Scalars [] by name.
    """
    means = {"others_log_ratio_abs": jnp.abs(data.log_ratio), "weight_mean": correction.weight}
    return masked_means(means, mask) | {
        "others_ratio_ess": effective_sample_size(data.log_ratio, mask),
        "state_weight_ess": effective_sample_size(jnp.log(correction.state_weight), mask),
    }


def episode_metrics(trajectory: Trajectory) -> dict[str, Array]:
    """Means [] over the episodes that ended in the batch, and their number, without lost ones."""
    done = trajectory.done if trajectory.lost is None else trajectory.done & ~trajectory.lost
    means = {
        "episode_return": trajectory.episode_return,
        "episode_length": trajectory.episode_length,
        "win_rate": trajectory.win,
        **trajectory.outcome,
    }
    dtype = trajectory.reward.dtype
    return {
        "episodes": done.sum(),
        "reward": trajectory.reward.mean(),
        **masked_means({name: value.astype(dtype) for name, value in means.items()}, done),
    }


def find_faults(
    trajectory: Trajectory, measured: dict[str, Array], state: TrainState
) -> dict[str, Array]:
    """Flags [] bool, true for quantities that training must not continue with."""

    def broken(tree: Any) -> Array:
        leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
        return ~jnp.stack([jnp.array(True), *(jnp.isfinite(x).all() for x in leaves)]).all()

    available = trajectory.available_actions
    none_left = jnp.array(False) if available is None else ~available.any(axis=-1).all()
    return {
        "reward": broken(trajectory.reward),
        "observation": broken((trajectory.observation, trajectory.state, trajectory.next_state)),
        "available_actions": none_left,
        **{name: broken(value) for name, value in measured.items()},
        "actor parameters": broken(state.actor),
        "critic parameters": broken(state.critic),
        "value statistics": broken(state.value_statistics),
        "state weights": broken(state.state_weight),
        "action values": broken(state.action_head),
    }
