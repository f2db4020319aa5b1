"""A gradient step of a group of agents and of the critic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from opspo.estimators import action_ratios, ratio_scopes
from opspo.estimators.normalise import mean_and_deviation, update_statistics
from opspo.estimators.ratios import kl_from_log_ratio
from opspo.objectives.surrogate import clipped_surrogate, is_clipped
from opspo.objectives.value import clipped_value_loss
from opspo.policies.networks import Networks
from opspo.policies.team import Critic, Team
from opspo.types import Array, Params
from opspo.update.algorithm import ActionRatio, LiveRange
from opspo.update.learners import Learners
from opspo.update.mean import Sums, mean_gradient, sums
from opspo.update.sequences import Sequences, Starts

Metrics = dict[str, Array]
Step = Callable[[Learners, Sequences, Starts, Array], tuple[Learners, Metrics]]
"""(learners, minibatch, recurrent states at its start, scale of the step sizes [])
→ learners, metrics"""


def actor_loss(
    params: Params,
    batch: Sequences,
    memory: Array,
    *,
    team: Team,
    entropy_coefficient: float,
    action_ratio: ActionRatio,
    live_range: LiveRange | None,
) -> tuple[Array, Sums]:
    """Minus the surrogate and the entropy bonus, summed over the living agents' samples.

    Args:
        params: of the actors, shared or of K agents.
        batch: the sequences.
        memory: [C, K, h] recurrent states at their start.
        team: the actors.
        entropy_coefficient: weight of the entropy bonus.
        action_ratio: the ratio of an action with several dimensions.
        live_range: in simultaneous updates, the range as a function of the others' current ratio.
    """
    output, _ = team.unroll(params, batch.observation, memory, batch.first)
    distribution = team.distribution
    log_prob = distribution.log_prob(output, batch.action, batch.available_actions)
    change = action_ratio(log_prob, batch.log_prob, batch.dimensions)
    weight, low, high = batch.weight, batch.low, batch.high
    if live_range is not None:
        moved = jax.lax.stop_gradient(jnp.where(batch.mask, change, 0))
        factor, low, high = live_range(ratio_scopes.others(moved, jnp.arange(moved.shape[-1])))
        weight = weight * factor
    surrogate = clipped_surrogate(change, batch.advantage, weight, low, high)
    entropy = distribution.entropy(output, batch.available_actions)
    if batch.dimensions is not None:
        entropy = jnp.where(batch.dimensions, entropy, 0)
    entropy = entropy.sum(axis=-1)
    gain = surrogate + entropy_coefficient * entropy
    held = is_clipped(change, batch.advantage, low, high)
    found = {
        "policy_loss": -surrogate,
        "entropy": entropy,
        "clip_fraction": held.astype(gain.dtype),
        "kl": kl_from_log_ratio(action_ratios.product(log_prob, batch.log_prob, batch.dimensions)),
    }
    return -jnp.where(batch.mask, gain, 0).sum(), sums(found, batch.mask)


def critic_loss(
    params: Params,
    batch: Sequences,
    memory: Array,
    *,
    critic: Critic,
    clip: float,
    huber_delta: float,
    mask_dead: bool,
) -> tuple[Array, Sums]:
    """The value loss, summed over the targets of the agents under update.

    Here the batch's targets are in the unit of the critic's outputs.

    Args:
        params: of the critic, shared or of M members.
        batch: the sequences.
        memory: [C, M, h] recurrent states at their start.
        critic: the critic.
        clip: bound on the change in its prediction.
        huber_delta: δ of the Huber loss.
        mask_dead: leave out the targets of dead agents.
    """
    value = critic.values(params, batch.state, memory, batch.first)
    loss = clipped_value_loss(
        value, batch.value, batch.value_target, clip=clip, huber_delta=huber_delta
    )
    found = sums({"value_loss": loss}, batch.mask if mask_dead else batch.target_mask)
    return found.metrics["value_loss"], found


@dataclass(frozen=True)
class GradientStep:
    """A gradient step with given networks, optimisers and numbers."""

    networks: Networks
    actor_optimiser: optax.GradientTransformation
    critic_optimiser: optax.GradientTransformation
    entropy_coefficient: float
    value_clip: float
    huber_delta: float
    mask_dead: bool
    """Leave the targets of dead agents out of the value loss"""
    value_decay: float | None
    """Decay of the value statistics at each critic step; None: they are constant in the update"""
    least_deviation: float
    """Lower bound on the standard deviation of the critic's unit"""
    action_ratio: ActionRatio = action_ratios.product
    live_range: LiveRange | None = None
    """Simultaneous updates: the range, recomputed at each step from the others' ratio (CoPPO)"""
    mesh: Mesh | None = None
    """The devices over which the chunks are divided, if any"""

    def __call__(
        self, learners: Learners, batch: Sequences, starts: Starts, rate: Array
    ) -> tuple[Learners, Metrics]:
        """Take a step of actors and critic on a minibatch; return the learners and metrics.

        `rate` [] scales both step sizes.
        """
        learners, metrics = self.actor_step(learners, batch, starts, rate)
        learners, critic_metrics = self.critic_step(learners, batch, starts, rate)
        return learners, metrics | critic_metrics

    def actor_step(
        self, learners: Learners, batch: Sequences, starts: Starts, rate: Array
    ) -> tuple[Learners, Metrics]:
        """Take a step of the actors only."""
        loss = partial(
            actor_loss,
            team=self.networks.team,
            entropy_coefficient=self.entropy_coefficient,
            action_ratio=self.action_ratio,
            live_range=self.live_range,
        )
        grad, metrics = mean_gradient(
            loss,
            learners.actor,
            batch,
            starts.actor,
            shared=self.networks.team.shared,
            mesh=self.mesh,
        )
        actor, optimiser, norm = _apply(
            self.actor_optimiser, rate, shared=self.networks.team.shared
        )(learners.actor, grad, learners.actor_optimiser)
        metrics |= {"actor_grad_norm": jnp.mean(norm)}
        return learners.replace(actor=actor, actor_optimiser=optimiser), metrics  # type: ignore[attr-defined]

    def critic_step(
        self, learners: Learners, batch: Sequences, starts: Starts, rate: Array
    ) -> tuple[Learners, Metrics]:
        """Take a step of the critic only."""
        statistics = learners.value_statistics
        if self.value_decay is not None:
            statistics = update_statistics(
                statistics, batch.value_target, batch.target_mask, decay=self.value_decay
            )
        mean, deviation = mean_and_deviation(statistics, epsilon=self.least_deviation)
        batch = batch.replace(  # type: ignore[attr-defined]
            value_target=(batch.value_target - mean) / deviation
        )
        loss = partial(
            critic_loss,
            critic=self.networks.critic,
            clip=self.value_clip,
            huber_delta=self.huber_delta,
            mask_dead=self.mask_dead,
        )
        grad, metrics = mean_gradient(
            loss,
            learners.critic,
            batch,
            starts.critic,
            shared=self.networks.critic.shared,
            mesh=self.mesh,
        )
        critic, optimiser, norm = _apply(
            self.critic_optimiser, rate, shared=self.networks.critic.shared
        )(learners.critic, grad, learners.critic_optimiser)
        metrics |= {"critic_grad_norm": jnp.mean(norm)}
        learners = learners.replace(  # type: ignore[attr-defined]
            critic=critic, critic_optimiser=optimiser, value_statistics=statistics
        )
        return learners, metrics


def _apply(
    optimiser: optax.GradientTransformation, rate: Array, *, shared: bool
) -> Callable[[Any, Any, Any], Any]:
    """(params, gradient, optimiser state) → the new params and state, and the gradient's norm.

    The gradients of separate members are bounded separately.
    """

    def update(params: Any, grad: Any, state: Any) -> tuple[Any, Any, Array]:
        change, state = optimiser.update(grad, state, params)
        change = jax.tree.map(lambda x: rate.astype(x.dtype) * x, change)
        return optax.apply_updates(params, change), state, optax.global_norm(grad)

    return update if shared else jax.vmap(update)


def make_optimiser(
    learning_rate: float, *, adam_epsilon: float, max_grad_norm: float
) -> optax.GradientTransformation:
    """Adam, with the gradient's norm clipped to `max_grad_norm` first."""
    return optax.chain(
        optax.clip_by_global_norm(max_grad_norm), optax.adam(learning_rate, eps=adam_epsilon)
    )
