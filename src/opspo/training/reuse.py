"""Using the batches of earlier iterations again, which are off-policy from the start.

GePPO (Queeney, Paschalidis and Cassandras 2021) does so for one agent. Here an earlier batch begins
an update with log-ratios other than 0, since the policies have moved since it was collected. From
there on every correction takes them into account like those of the preceding agents. The clip range
is (1 ± ε) times the agent's own ratio at the start of the update; GePPO adds ± ε to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from opspo.policies.networks import Networks
from opspo.types import Array, Moved, TrainState, Trajectory
from opspo.update.algorithm import ActionRatio
from opspo.update.moved import measure, still


@struct.dataclass
class Earlier:
    """The batches of earlier iterations, newest first, side by side on the axis of environments."""

    trajectory: Trajectory
    """[T, R E, ...]"""
    critic_memory: Array
    """[R E, M, h] the critic's recurrent state before each batch"""


@dataclass(frozen=True)
class Reuse:
    """How many earlier batches an update uses beside its own, and how they are brought up to it."""

    networks: Networks
    action_ratio: ActionRatio
    batches: int
    """R, at least 1"""

    def blank(self, example: Trajectory, critic_memory: Array) -> Earlier:
        """Zeros, for the shapes; the first iteration takes copies of its own batch instead."""

        def zeros(x: Any, axis: int) -> Array:
            shape = list(x.shape)
            shape[axis] *= self.batches
            return jnp.zeros(shape, x.dtype)

        trajectory = jax.tree.map(lambda x: zeros(x, 1), without_reports(example))
        return Earlier(trajectory, zeros(critic_memory, 0))

    def beside(self, state: TrainState, trajectory: Trajectory) -> tuple[Earlier, Moved]:
        """The earlier batches beside this one.

        Args:
            state: in which the batch was collected.
            trajectory: this iteration's [T, E, ...].

        Returns:
            All batches, this one first: [T, (1 + R) E, ...]; and how far the agents have moved
            since each was collected, 0 for this one.
        """
        own = Earlier(without_reports(trajectory), state.critic_memory)
        earlier: Earlier = jax.lax.cond(
            state.iteration == 0,
            lambda: self._joined([own] * self.batches),
            lambda: state.earlier,
        )
        before = measure(
            self.networks,
            self.action_ratio,
            state.actor,
            earlier.trajectory,
            still(earlier.trajectory),
            jnp.arange(self.networks.team.num_members),
        )
        began = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), still(trajectory), before)
        return self._joined([own, earlier]), began

    def keep(self, everything: Earlier) -> Earlier:
        """What the next iteration uses: all batches but the oldest."""
        envs = everything.critic_memory.shape[0] * self.batches // (1 + self.batches)
        return Earlier(
            jax.tree.map(lambda x: x[:, :envs], everything.trajectory),
            everything.critic_memory[:envs],
        )

    def _joined(self, parts: list[Earlier]) -> Earlier:
        trajectories = [each.trajectory for each in parts]
        return Earlier(
            jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *trajectories),
            jnp.concatenate([each.critic_memory for each in parts]),
        )


def without_reports(trajectory: Trajectory) -> Trajectory:
    """A trajectory without what only the metrics of its own iteration need.

    An engine may report more of that than the example that shapes are taken from.
    """
    kept: Trajectory = trajectory.replace(lost=None, outcome={})  # type: ignore[attr-defined]
    return kept
