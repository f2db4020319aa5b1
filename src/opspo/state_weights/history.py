"""The experience of recent iterations, with its probability under each policy that collected it.

It is a ring of M slots. Iteration k writes a sample of its sequences and its policy into slot
k mod M. The probabilities are updated incrementally: every old policy evaluates the new sequences
once, and every new policy the old ones, which `moved` records while the agents are updated.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.density_ratio import mixture_log_ratio
from opspo.policies.team import Team
from opspo.rollout.chunks import chunk_starts, to_chunks
from opspo.state_weights.trainers import Samples, draw_indices
from opspo.state_weights.transitions import Transitions, successor, transitions
from opspo.types import Array, Batch, Params


@struct.dataclass
class Sample:
    """Sequences of one iteration; in a `Ring`, with a leading slot axis M."""

    observation: Array
    """[L, C, N, d]"""
    available_actions: Array | None
    action: Array
    alive: Array
    memory: Array
    """[C, N, h]"""
    first: Array
    """[L, C]"""
    state: Array
    """[L, C, s]"""
    successor: Array
    transitions: Transitions
    """Each [L, C]"""
    initial: Array
    """[B, s] states in which episodes begin, from the whole batch"""
    initial_weight: Array
    """[B] 1, or 0 if no episode began in the batch"""


@struct.dataclass
class Ring:
    """The samples of M iterations."""

    sample: Sample
    policies: Params
    """[M, ...] that collected each slot"""
    behaviour_log_prob: Array
    """[M, M, L, C] joint log-probability of slot j (axis 1) under the policy of slot m (axis 0)"""
    log_prob: Array
    """[M, L, C, N] log-probability of each slot under the current policies"""
    count: Array
    """[] int, number of iterations written so far"""


@dataclass(frozen=True)
class History:
    """Writing to the ring and reading from it."""

    team: Team
    slots: int
    sequences: int
    """C, the number of sequences of `chunk_length` steps kept from each iteration"""
    chunk_length: int
    discount: float

    def empty(self, sample: Sample, actor: Params) -> Ring:
        """An empty ring, for samples and parameters of these shapes."""

        def slots(x: Array) -> Array:
            return jnp.zeros((self.slots, *x.shape), x.dtype)

        shape = (self.slots, *sample.first.shape)
        return Ring(
            sample=jax.tree.map(slots, sample),
            policies=jax.tree.map(slots, actor),
            behaviour_log_prob=jnp.zeros((self.slots, *shape)),
            log_prob=jnp.zeros((*shape, self.team.num_members)),
            count=jnp.zeros((), jnp.int32),
        )

    def draw(self, batch: Batch, key: Array) -> Sample:
        """A random selection of the batch's sequences."""
        trajectory, length = batch.trajectory, self.chunk_length
        chunks = trajectory.reward.size // length
        chunk_key, start_key = jax.random.split(key)
        chosen = jax.random.permutation(chunk_key, chunks)[: self.sequences]

        def cut(x: Array) -> Array:
            return to_chunks(x, length)[:, chosen]

        available = trajectory.available_actions
        state = trajectory.state[:, :, 0]
        begins = trajectory.first.ravel()
        begun = jnp.cumsum(begins.astype(trajectory.reward.dtype))
        starts = draw_indices(start_key, begun, self.sequences * length)
        return Sample(
            observation=cut(trajectory.observation),
            available_actions=None if available is None else cut(available),
            action=cut(trajectory.action),
            alive=cut(trajectory.alive),
            memory=chunk_starts(trajectory.memory, length)[chosen],
            first=cut(trajectory.first),
            state=cut(state),
            successor=cut(successor(state)),
            transitions=jax.tree.map(cut, transitions(trajectory, discount=self.discount)),
            initial=state.reshape(begins.size, -1)[starts],
            initial_weight=jnp.full(starts.shape, begins.any(), trajectory.reward.dtype),
        )

    def write(self, ring: Ring, sample: Sample, actor: Params) -> Ring:
        """Write an iteration's sample and the policy that collected it."""
        slot = ring.count % self.slots
        if "statistics" in actor:
            # the last `moved` used the old statistics of the inputs
            ring = self.moved(ring, actor, jnp.arange(self.team.num_members))

        def put(old: Array, new: Array) -> Array:
            return old.at[slot].set(new)

        policies = jax.tree.map(put, ring.policies, actor)
        by_each = jax.lax.map(lambda params: self._log_prob(params, sample), policies)
        log_prob = put(ring.log_prob, by_each[slot])
        joint = ring.behaviour_log_prob.at[:, slot].set(by_each.sum(-1))
        return Ring(
            sample=jax.tree.map(put, ring.sample, sample),
            policies=policies,
            behaviour_log_prob=joint.at[slot].set(log_prob.sum(-1)),
            log_prob=log_prob,
            count=ring.count + 1,
        )

    def moved(self, ring: Ring, actor: Params, agents: Array) -> Ring:
        """Record the ring's log-probabilities under the new policies of a group of agents [K]."""
        params = self.team.select(actor, agents)
        new = jax.lax.map(lambda sample: self._of(params, sample, agents), ring.sample)
        return ring.replace(log_prob=ring.log_prob.at[..., agents].set(new))  # type: ignore[attr-defined]

    def samples(self, ring: Ring) -> Samples:
        """The whole ring as data of the estimating equation for the current policies."""
        filled = jnp.arange(self.slots) < ring.count
        behaviour = ring.behaviour_log_prob.reshape(self.slots, -1)
        behaviour = jnp.where(filled[:, None], behaviour, -jnp.inf)
        log_ratio = mixture_log_ratio(ring.log_prob.sum(-1).reshape(-1), behaviour)
        # from a mean over M slots to one over the slots that are filled
        log_ratio = log_ratio - jnp.log(self.slots / filled.sum())
        used = filled[:, None, None]
        steps = ring.sample.transitions
        size = ring.sample.state.shape[-1]
        state = ring.sample.state.reshape(-1, size)
        return Samples(
            state=state,
            successor=ring.sample.successor.reshape(-1, size),
            ratio=jnp.exp(log_ratio),
            weight=jnp.where(used, steps.weight, 0).reshape(-1),
            continues=steps.continues.reshape(-1),
            initial=ring.sample.initial.reshape(-1, size),
            initial_weight=jnp.where(filled[:, None], ring.sample.initial_weight, 0).ravel(),
        )

    def _log_prob(self, params: Params, sample: Sample) -> Array:
        return self._of(params, sample, jnp.arange(self.team.num_members))

    def _of(self, params: Params, sample: Sample, agents: Array) -> Array:
        """log π^i(a^i | s) for a group of agents, [L, C, K]; 0 for the dead."""
        available = sample.available_actions
        log_prob = self.team.log_prob(
            params,
            sample.observation[:, :, agents],
            sample.memory[:, agents],
            sample.first,
            sample.action[:, :, agents],
            None if available is None else available[:, :, agents],
        )
        own = self.team.own_dimensions(agents)
        if own is not None:
            log_prob = jnp.where(jnp.broadcast_to(own, log_prob.shape), log_prob, 0)
        return jnp.where(sample.alive[:, :, agents], log_prob.sum(-1), 0)
