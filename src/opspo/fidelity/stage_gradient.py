"""The directions in which an estimator moves the agents of a stage."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import struct
from jax.flatten_util import ravel_pytree

from opspo.types import Array, Batch, Correction, Moved, Params, StageData
from opspo.update.learners import Learners, select
from opspo.update.mean import mean_gradient
from opspo.update.moved import measure, not_moved
from opspo.update.stages import Update
from opspo.update.step import actor_loss


@struct.dataclass
class Stage:
    """A stage of an update, when the agents before it have moved."""

    learners: Learners
    """Of all agents, as they are when the stage begins: the actors are π̂"""
    agents: Array
    """[K] int, the group"""
    active: Array
    """[K] bool, false for entries that only pad the group"""
    rank: Array
    """[N] int, each agent's place in the order"""
    number: Array
    """[] int, from 0"""


def moved_at(update: Update, stage: Stage, batch: Batch) -> Moved:
    """How far all agents are from the policies that collected a batch."""
    return measure(
        update.networks,
        update.algorithm.ratio_of,
        stage.learners.actor,
        batch.trajectory,
        not_moved(batch),
        jnp.arange(update.networks.team.num_members),
        batch.action_values,
    )


def shuffled(moved: Moved, key: Array) -> Moved:
    """The same ratios, dealt to other samples at random: a control, without information."""
    shape = moved.log_ratio.shape
    order = jax.random.permutation(key, shape[0] * shape[1])

    def deal(x: Array) -> Array:
        return x.reshape(-1, *x.shape[2:])[order].reshape(x.shape)

    dealt: Moved = jax.tree.map(deal, moved)
    return dealt


def correct(
    update: Update, stage: Stage, batch: Batch, moved: Moved, before: Params, key: Array
) -> Correction:
    """The estimator's terms of the surrogate for the stage's agents.

    With `values` "ahead", the critic first takes the steps of an agent's update on this batch.

    Args:
        update: with the estimator's algorithm.
        stage: the stage.
        batch: collected by the actors `before`.
        moved: how far agents have moved since then.
        before: the actors that collected the batch.
        key: for a state weight that draws.
    """
    algorithm = update.algorithm

    def look(batch: Batch) -> StageData:
        return update.view(
            batch, moved, stage.agents, stage.rank, stage=stage.number, round_began=moved.log_ratio
        )

    data = look(batch)
    weight, critic = algorithm.state_weight, stage.learners.critic
    init_key, begin_key, weigh_key = jax.random.split(key, 3)
    working = weight.begin(weight.init(init_key, batch, before), batch, before, critic, begin_key)
    omega, _ = weight.weigh(working, batch, data, stage.number, weigh_key)
    correction = algorithm.correct(data, omega)
    if algorithm.values == "ahead":
        _, batch, _ = update.ahead(
            stage.learners,
            batch,
            correction,
            stage.agents,
            stage.active,
            epochs=algorithm.declaration.epochs,
            key=key,
        )
        correction = algorithm.correct(look(batch), omega)
    return correction


def first_gradient(
    update: Update, stage: Stage, batch: Batch, correction: Correction
) -> tuple[Array, Array]:
    """The gradient of the surrogate at the stage's beginning, without clipping and entropy bonus.

    The range is left out since it says how far to go, not where to. With separate parameters it
    makes no difference, as the agent has not moved. With shared ones it has: the gradient of what
    the range leaves points back, whatever the estimator.

    Returns:
        The ascent direction [P], and the number of samples in it [].
    """
    nothing = jnp.zeros_like(correction.low)
    correction = correction.replace(low=nothing, high=nothing + jnp.inf)  # type: ignore[attr-defined]
    sequences, starts = update.sequences(batch, correction, stage.agents, stage.active)
    group = select(update.networks, stage.learners, stage.agents)
    loss = partial(
        actor_loss,
        team=update.networks.team,
        entropy_coefficient=0.0,
        action_ratio=update.algorithm.ratio_of,
        live_range=None,
    )
    found = mean_gradient(
        loss, group.actor, sequences, starts.actor, shared=update.networks.team.shared
    )
    return -ravel_pytree(found.gradient)[0], sequences.mask.sum()


def first_epoch(
    update: Update, stage: Stage, batch: Batch, correction: Correction, key: Array
) -> Array:
    """The change [P] of the actors' parameters in the stage's first epoch, optimiser included."""
    sequences, starts = update.sequences(batch, correction, stage.agents, stage.active)
    group = select(update.networks, stage.learners, stage.agents)
    step, rate = update.gradient_step.actor_step, jnp.ones(())
    if update.minibatches == 1:
        # outside of a loop, the compiler shares the gradient with `first_gradient`
        after, _ = step(group, sequences, starts, rate)
    else:
        after, _ = update.descend(group, sequences, starts, step, epochs=1, rate=rate, key=key)
    return ravel_pytree(after.actor)[0] - ravel_pytree(group.actor)[0]
