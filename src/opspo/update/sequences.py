"""The sequences of a batch that the gradient steps of a group of agents use."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.normalise import masked_mean, standardise
from opspo.policies.networks import Networks
from opspo.rollout.chunks import chunk_starts, to_chunks
from opspo.types import Array, Batch, Correction


@struct.dataclass
class Sequences:
    """What a loss needs about each sample: [L, C, ...], or a minibatch of the chunks.

    Arrays without a comment are [L, C, K, ...].
    """

    observation: Array
    """[L, C, K, d]"""
    available_actions: Array | None
    action: Array
    log_prob: Array
    """[L, C, K, D] at collection"""
    dimensions: Array | None
    """[L, C, K, D] bool, true for the agent's own action dimensions; None: all are its own"""
    mask: Array
    """[L, C, K] bool, true if the agent is alive and under update"""
    advantage: Array
    weight: Array
    low: Array
    high: Array
    state: Array
    """[L, C, M, s]"""
    first: Array
    """[L, C] bool"""
    value: Array
    """[L, C, M] the critic's output at collection"""
    value_target: Array
    """[L, C, K] in the unit of the reward"""
    target_mask: Array
    """[L, C, K] bool, true if the agent is under update: its target counts even after its death"""


@struct.dataclass
class Starts:
    """Recurrent states at the start of each chunk."""

    actor: Array
    """[C, K, h]"""
    critic: Array
    """[C, M, h]"""


def to_sequences(
    batch: Batch,
    correction: Correction,
    agents: Array,
    active: Array,
    *,
    networks: Networks,
    normalise_advantage: bool,
    normalise_weight: bool,
) -> tuple[Sequences, Starts]:
    """The samples of a group of agents, cut into sequences, with the terms of their surrogate.

    Args:
        batch: one iteration's experience.
        correction: of the group's stage.
        agents: [K] int, the group.
        active: [K] bool, false for entries that only pad the group.
        networks: the actors and the critic.
        normalise_advantage: scale advantages to mean 0 and variance 1; with separate parameters,
            each agent's separately, as in the loss.
        normalise_weight: scale the weights to mean 1.
    """
    mask = batch.trajectory.alive[..., agents] & active
    if normalise_advantage:
        scale = standardise if networks.team.shared else _standardise_each
        correction = correction.replace(  # type: ignore[attr-defined]
            advantage=scale(correction.advantage, mask)
        )
    if normalise_weight:
        mean = jnp.maximum(masked_mean(correction.weight, mask), 1e-6)
        correction = correction.replace(  # type: ignore[attr-defined]
            weight=correction.weight / mean
        )
    by_time = _samples(batch, correction, agents, active, networks)
    length = networks.chunk_length
    sequences = jax.tree.map(lambda x: to_chunks(x, length), by_time)
    memory = chunk_starts(batch.trajectory.memory, length)[:, agents]
    members = networks.critic.members(agents)
    return sequences, Starts(actor=memory, critic=batch.critic_memory[:, members])


def _samples(
    batch: Batch, correction: Correction, agents: Array, active: Array, networks: Networks
) -> Sequences:
    """The samples by time and environment: [T, E, ...]."""
    trajectory, members = batch.trajectory, networks.critic.members(agents)
    alive = trajectory.alive[..., agents]
    available = trajectory.available_actions
    own = networks.team.own_dimensions(agents)
    log_prob = trajectory.log_prob[:, :, agents]
    return Sequences(
        observation=trajectory.observation[:, :, agents],
        available_actions=None if available is None else available[:, :, agents],
        action=trajectory.action[:, :, agents],
        log_prob=log_prob,
        dimensions=None if own is None else jnp.broadcast_to(own, log_prob.shape),
        mask=alive & active,
        advantage=correction.advantage,
        weight=correction.weight,
        low=correction.low,
        high=correction.high,
        state=trajectory.state[:, :, members],
        first=trajectory.first,
        value=batch.raw_value[..., members],
        value_target=correction.value_target,
        target_mask=jnp.broadcast_to(active, alive.shape),
    )


def _standardise_each(advantage: Array, mask: Array) -> Array:
    return jax.vmap(standardise, in_axes=-1, out_axes=-1)(advantage, mask)
