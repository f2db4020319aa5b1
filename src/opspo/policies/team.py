"""The team's actors, with parameters shared or one set for each agent, and the central critic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from opspo.config import PolicyConfig
from opspo.environments.base import EnvironmentSpec
from opspo.policies.distributions import DiagonalGaussian, Distribution, MaskedCategorical
from opspo.policies.networks import ActorNetwork, CriticNetwork, Torso
from opspo.types import Array, Params


@dataclass(frozen=True)
class Team:
    """All agents' policies as one object.

    Parameters are one set where shared, else stacked on a leading agent axis, so that a group of
    agents is a slice of them.
    """

    network: ActorNetwork
    distribution: Distribution
    num_agents: int
    observation_size: int
    shared: bool
    memory_size: int

    def init(self, key: Array) -> Params:
        """Fresh parameters; separate agents start apart."""

        def one(key: Array) -> Params:
            x = jnp.zeros((1, 1, self.observation_size))
            return self.network.init(
                key, x, jnp.zeros((1, self.memory_size)), jnp.zeros((1, 1), bool)
            )

        return one(key) if self.shared else jax.vmap(one)(jax.random.split(key, self.num_agents))

    def initial_memory(self, *batch: int) -> Array:
        """Zeros [*batch, N, h]."""
        return jnp.zeros((*batch, self.num_agents, self.memory_size))

    def unroll(
        self, params: Params, observation: Array, memory: Array, first: Array
    ) -> tuple[Array, Array]:
        """Run K agents over sequences.

        Args:
            params: shared, or stacked for those K agents.
            observation: [L, C, K, d].
            memory: [C, K, h] before the first step.
            first: [L, C] bool, an episode begins.

        Returns:
            Distribution outputs [L, C, K, o] and the memory after the last step [C, K, h].
        """
        apply: Any = self.network.apply  # Flax types it for mutable variables too
        if not self.shared:
            each = jax.vmap(apply, in_axes=(0, 2, 1, None), out_axes=(2, 1))
            return each(params, observation, memory, first)
        length, batch, agents, size = observation.shape
        output, memory = apply(
            params,
            observation.reshape(length, batch * agents, size),
            memory.reshape(batch * agents, self.memory_size),
            jnp.repeat(first, agents, axis=1),
        )
        return output.reshape(length, batch, agents, -1), memory.reshape(batch, agents, -1)

    def select(self, params: Params, agents: Array) -> Params:
        """The parameters of a group of agents [K]; all of them where shared."""
        return params if self.shared else jax.tree.map(lambda x: x[agents], params)

    def replace(self, params: Params, agents: Array, new: Params) -> Params:
        """`params` with those of a group of agents replaced."""
        if self.shared:
            return new
        return jax.tree.map(lambda old, x: old.at[agents].set(x), params, new)


@dataclass(frozen=True)
class Critic:
    """The central value function of the global state."""

    network: CriticNetwork
    state_size: int
    memory_size: int

    def init(self, key: Array) -> Params:
        """Fresh parameters."""
        x = jnp.zeros((1, 1, self.state_size))
        return self.network.init(key, x, jnp.zeros((1, self.memory_size)), jnp.zeros((1, 1), bool))

    def initial_memory(self, batch: int) -> Array:
        """Zeros [batch, h]."""
        return jnp.zeros((batch, self.memory_size))

    def unroll(
        self, params: Params, state: Array, memory: Array, first: Array
    ) -> tuple[Array, Array]:
        """[L, C, s], [C, h], [L, C] → values [L, C] and the memory after [C, h]."""
        apply: Any = self.network.apply
        return apply(params, state, memory, first)


def make_team(config: PolicyConfig, spec: EnvironmentSpec) -> Team:
    """The actors for an environment's observations and actions."""
    continuous = spec.action_size > 0
    network = ActorNetwork(
        torso=Torso(config.hidden_sizes, config.activation, config.recurrent),
        head_size=spec.action_size if continuous else spec.num_actions,
        output_gain=config.output_gain,
        initial_log_std=config.initial_log_std if continuous else None,
    )
    return Team(
        network=network,
        distribution=DiagonalGaussian() if continuous else MaskedCategorical(),
        num_agents=spec.num_agents,
        observation_size=spec.observation_size,
        shared=config.share_parameters,
        memory_size=config.hidden_sizes[-1] if config.recurrent else 0,
    )


def make_critic(config: PolicyConfig, spec: EnvironmentSpec) -> Critic:
    """The critic for an environment's global state."""
    return Critic(
        network=CriticNetwork(Torso(config.hidden_sizes, config.activation, config.recurrent)),
        state_size=spec.state_size,
        memory_size=config.hidden_sizes[-1] if config.recurrent else 0,
    )
