"""One gradient step of a group of agents and of the critic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from opspo.estimators.normalise import masked_mean
from opspo.estimators.ratios import log_ratio
from opspo.objectives.surrogate import clipped_surrogate, is_clipped
from opspo.objectives.value import clipped_value_loss
from opspo.policies.team import Critic, Team
from opspo.types import Array, Params


@struct.dataclass
class Sequences:
    """What a loss needs of each sample: [L, C, ...] or a minibatch of its chunks."""

    observation: Array
    """[L, C, K, d]"""
    available_actions: Array | None
    action: Array
    log_prob: Array
    """[L, C, K, D] at collection"""
    mask: Array
    """[L, C, K] bool, the agent is alive and under update"""
    advantage: Array
    weight: Array
    low: Array
    high: Array
    state: Array
    """[L, C, s]"""
    first: Array
    """[L, C] bool"""
    value: Array
    """[L, C, 1] the critic's output at collection"""
    value_target: Array
    """[L, C, K] normalised"""
    target_mask: Array
    """[L, C, K] bool, the agent is under update: its target counts also after its death"""


@struct.dataclass
class Starts:
    """Recurrent states at the start of each chunk."""

    actor: Array
    """[C, K, h]"""
    critic: Array
    """[C, h]"""


@struct.dataclass
class Learners:
    """Parameters and optimiser states of the group under update."""

    actor: Params
    actor_optimiser: optax.OptState
    critic: Params
    critic_optimiser: optax.OptState


def actor_loss(
    params: Params, team: Team, batch: Sequences, memory: Array, *, entropy_coefficient: float
) -> tuple[Array, dict[str, Array]]:
    """Minus the surrogate and the entropy bonus, averaged over the living agents' samples."""
    output, _ = team.unroll(params, batch.observation, memory, batch.first)
    distribution = team.distribution
    log_prob = distribution.log_prob(output, batch.action, batch.available_actions)
    change = log_ratio(log_prob, batch.log_prob)
    surrogate = clipped_surrogate(change, batch.advantage, batch.weight, batch.low, batch.high)
    entropy = distribution.entropy(output, batch.available_actions)
    gain = surrogate + entropy_coefficient * entropy
    held = is_clipped(change, batch.advantage, batch.low, batch.high)
    metrics = {
        "policy_loss": -masked_mean(surrogate, batch.mask),
        "entropy": masked_mean(entropy, batch.mask),
        "clip_fraction": masked_mean(held.astype(gain.dtype), batch.mask),
    }
    if team.shared:
        return -masked_mean(gain, batch.mask), metrics
    # each agent's gradient is that of its own mean, however many are updated beside it
    own_means = jax.vmap(masked_mean, in_axes=-1)(gain, batch.mask)
    return -own_means.sum(), metrics


def critic_loss(
    params: Params,
    critic: Critic,
    batch: Sequences,
    memory: Array,
    *,
    clip: float,
    huber_delta: float,
) -> tuple[Array, dict[str, Array]]:
    """Mean value loss over the targets of the agents under update."""
    value, _ = critic.unroll(params, batch.state, memory, batch.first)
    loss = clipped_value_loss(
        value[..., None], batch.value, batch.value_target, clip=clip, huber_delta=huber_delta
    )
    mean = masked_mean(loss, batch.target_mask)
    return mean, {"value_loss": mean}


@dataclass(frozen=True)
class GradientStep:
    """The step for given networks, optimisers and numbers."""

    team: Team
    critic: Critic
    actor_optimiser: optax.GradientTransformation
    critic_optimiser: optax.GradientTransformation
    entropy_coefficient: float
    value_clip: float
    huber_delta: float

    def __call__(
        self, learners: Learners, batch: Sequences, starts: Starts, rate: Array
    ) -> tuple[Learners, dict[str, Array]]:
        """One step of actors and critic on a minibatch, and what was measured on the way.

        `rate` [] scales both step sizes.
        """
        actor_grad, metrics = jax.grad(actor_loss, has_aux=True)(
            learners.actor,
            self.team,
            batch,
            starts.actor,
            entropy_coefficient=self.entropy_coefficient,
        )
        critic_grad, critic_metrics = jax.grad(critic_loss, has_aux=True)(
            learners.critic,
            self.critic,
            batch,
            starts.critic,
            clip=self.value_clip,
            huber_delta=self.huber_delta,
        )
        # each agent's gradient is bounded by itself, so the optimiser is mapped over agents
        update = self._apply(self.actor_optimiser, rate)
        if not self.team.shared:
            update = jax.vmap(update)
        actor, actor_state, actor_norm = update(
            learners.actor, actor_grad, learners.actor_optimiser
        )
        critic, critic_state, critic_norm = self._apply(self.critic_optimiser, rate)(
            learners.critic, critic_grad, learners.critic_optimiser
        )
        metrics |= critic_metrics | {
            "actor_grad_norm": jnp.mean(actor_norm),
            "critic_grad_norm": critic_norm,
        }
        return Learners(actor, actor_state, critic, critic_state), metrics

    @staticmethod
    def _apply(
        optimiser: optax.GradientTransformation, rate: Array
    ) -> Callable[[Any, Any, Any], Any]:
        def update(params: Any, grad: Any, state: Any) -> tuple[Any, Any, Array]:
            change, state = optimiser.update(grad, state, params)
            change = jax.tree.map(lambda x: rate.astype(x.dtype) * x, change)
            return optax.apply_updates(params, change), state, optax.global_norm(grad)

        return update


def make_optimiser(
    learning_rate: float, *, adam_epsilon: float, max_grad_norm: float
) -> optax.GradientTransformation:
    """Adam behind a bound on the gradient's norm."""
    return optax.chain(
        optax.clip_by_global_norm(max_grad_norm), optax.adam(learning_rate, eps=adam_epsilon)
    )
