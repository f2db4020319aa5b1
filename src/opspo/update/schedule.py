"""Who is updated when: a plan of stages.

An update is a sequence of stages. At the start of a stage the algorithm measures how far the other
agents have moved and corrects the data for the stage's agents; then these agents (and the critic)
take their gradient steps. The schedules differ only in the plan:

- simultaneous: one stage with all agents and all epochs;
- sequential, separate parameters: one stage per agent, with all epochs in each (Algorithm 1);
- sequential, shared parameters: rounds of stages, one per block of agents, with one epoch in each.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from opspo.errors import ConfigError
from opspo.terms import called
from opspo.types import Array


@struct.dataclass
class Plan:
    """A plan of S stages, each for a group of at most K agents."""

    agents: Array
    """[S, K] int"""
    active: Array
    """[S, K] bool, false for entries that only pad the row"""
    rank: Array
    """[S, N] int, each agent's position in the order, from 0; N − 1 for all in a simultaneous
    update"""
    epochs: int = struct.field(pytree_node=False)
    """Passes over the batch in each stage"""
    positions: int = struct.field(pytree_node=False)
    """Number of stages in one round over all agents"""


Schedule = Callable[[Array, Array], Plan]
"""(key, scores of the agents [N]) → plan."""
Order = Callable[[Array, Array], Array]
"""(key, scores of the agents [N]) → permutation, int [N]; see `orders`."""


def ordered(order: Order, key: Array, score: Array) -> Array:
    """The agents in an order.

    Raises:
        ConfigError: it returns something else than an integer for each agent.
    """
    agents = jnp.asarray(order(key, score))
    if agents.shape != score.shape or not jnp.issubdtype(agents.dtype, jnp.integer):
        raise ConfigError(
            f"algorithm.order: {called(order)} must return a permutation of the agents, int "
            f"{list(score.shape)}, but returned {agents.dtype} {list(agents.shape)}."
        )
    return agents


def simultaneous(*, num_agents: int, epochs: int) -> Schedule:
    """The simultaneous schedule: one stage with all agents and all epochs."""

    def plan(key: Array, score: Array) -> Plan:
        del key, score
        agents = jnp.arange(num_agents)[None]
        last = jnp.full_like(agents, num_agents - 1)
        return Plan(agents, jnp.ones_like(agents, bool), last, epochs=epochs, positions=1)

    return plan


def sequential(order: Order, *, num_agents: int, epochs: int) -> Schedule:
    """The sequential schedule for separate parameters: one stage per agent, with all epochs."""

    def plan(key: Array, score: Array) -> Plan:
        agents = ordered(order, key, score)
        return Plan(
            agents=agents[:, None],
            active=jnp.ones((num_agents, 1), bool),
            rank=jnp.tile(jnp.argsort(agents), (num_agents, 1)),
            epochs=epochs,
            positions=num_agents,
        )

    return plan


def in_blocks(
    order: Order, *, num_agents: int, rounds: int, blocks: int, cumulative: bool
) -> Schedule:
    """The sequential schedule for shared parameters: rounds of stages, one per block of agents.

    Each round draws its own order and cuts it into `blocks` parts, whose sizes differ by at most
    one agent, larger ones first, as in `numpy.array_split`. With `cumulative` a block also includes
    the preceding parts. A stage is one pass over the batch.
    """
    blocks = min(blocks, num_agents)
    size, larger = divmod(num_agents, blocks)
    sizes = [size + 1] * larger + [size] * (blocks - larger)
    part = jnp.array([np.repeat(np.arange(blocks), sizes)])  # the block of each position
    block = jnp.arange(blocks)[:, None]
    active = part <= block if cumulative else part == block
    width = num_agents if cumulative else -(-num_agents // blocks)
    # move each block's positions to the front of its row, then cut all rows to the same width
    positions = jnp.argsort(~active, axis=1, stable=True)[:, :width]
    active = jnp.take_along_axis(active, positions, axis=1)

    def plan(key: Array, score: Array) -> Plan:
        orders = jax.vmap(lambda k: ordered(order, k, score))(jax.random.split(key, rounds))
        return Plan(
            agents=orders[:, positions].reshape(rounds * blocks, width),
            active=jnp.tile(active, (rounds, 1)),
            rank=jnp.repeat(jnp.argsort(orders, axis=1), blocks, axis=0),
            epochs=1,
            positions=blocks,
        )

    return plan
