"""The team's actors and critic: networks with shared parameters or one set per member."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from opspo.config import LEAST_NORMALISED, PolicyConfig, TrainConfig
from opspo.environments.base import EnvironmentSpec, Observation
from opspo.errors import require
from opspo.estimators.normalise import merge_moments
from opspo.policies.distributions import (
    Decisions,
    DiagonalGaussian,
    Distribution,
    MaskedCategorical,
)
from opspo.policies.modules import GRU, ActorNetwork, CriticNetwork, Torso
from opspo.types import Array, Params


@dataclass(frozen=True)
class Members:
    """A network that each of N members runs.

    If parameters are shared there is one set. Otherwise they are stacked on a leading member axis,
    so that the parameters of a group of members are a slice.
    """

    network: ActorNetwork | CriticNetwork
    num_members: int
    input_size: int
    shared: bool
    memory_size: int

    def init(self, key: Array) -> Params:
        """Fresh parameters; separate members start with different ones."""

        def one(key: Array) -> Params:
            x = jnp.zeros((1, 1, self.input_size))
            return self.network.init(
                key, x, jnp.zeros((1, self.memory_size)), jnp.zeros((1, 1), bool)
            )

        # one after another: jaxlib 0.10.2's batched QR decompositions (for the orthogonal
        # weights) can deadlock when they run in parallel on few cores
        return (
            one(key) if self.shared else jax.lax.map(one, jax.random.split(key, self.num_members))
        )

    def init_optimiser(
        self, optimiser: optax.GradientTransformation, params: Params
    ) -> optax.OptState:
        """Fresh optimiser states, one per set of parameters."""
        return optimiser.init(params) if self.shared else jax.vmap(optimiser.init)(params)

    def initial_memory(self, *batch: int) -> Array:
        """The recurrent state at the start of an episode: zeros [*batch, N, h]."""
        return jnp.zeros((*batch, self.num_members, self.memory_size))

    def unroll(
        self, params: Params, inputs: Array, memory: Array, first: Array
    ) -> tuple[Array, Array]:
        """Run K members over sequences.

        Args:
            params: shared, or stacked for these K members.
            inputs: [L, C, K, d].
            memory: [C, K, h] the recurrent state before the first step.
            first: [L, C] bool, true where an episode begins.

        Returns:
            Outputs [L, C, K, o] and the recurrent state after the last step [C, K, h].
        """
        return self._map(self.network.apply, params, inputs, memory, first)

    def features(self, params: Params, inputs: Array, memory: Array, first: Array) -> Array:
        """The inputs of the last layer, [L, C, K, hidden]; the arguments are those of `unroll`."""
        features: Array = self._watch(Torso, params, inputs, memory, first)[1]
        return features

    def remember(
        self, params: Params, inputs: Array, memory: Array, first: Array
    ) -> tuple[Array, Array]:
        """The outputs, and the recurrent state after each step [L, C, K, h]; see `unroll`."""
        return self._watch(GRU, params, inputs, memory, first)

    def _watch(
        self, part: type[nn.Module], params: Params, inputs: Array, memory: Array, first: Array
    ) -> tuple[Array, Array]:
        """The network's outputs, and those of its only part of the class `part`."""

        def watched(params: Params, *arguments: Array) -> Any:
            (output, last), seen = self.network.apply(
                params,
                *arguments,
                capture_intermediates=lambda module, _: isinstance(module, part),
            )
            # exactly one call is captured, with its output and last state
            inner, _ = jax.tree.leaves(seen)
            return (output, inner), last

        found: tuple[Array, Array] = self._map(watched, params, inputs, memory, first)[0]
        return found

    def _map(self, apply: Any, params: Params, inputs: Array, memory: Array, first: Array) -> Any:
        length, batch, members, size = inputs.shape
        if not self.shared and members > 1:
            each = jax.vmap(apply, in_axes=(0, 2, 1, None), out_axes=(2, 1))
            return each(params, inputs, memory, first)
        if not self.shared:
            params = jax.tree.map(lambda x: x[0], params)  # faster than a batch of one
        output, memory = apply(
            params,
            inputs.reshape(length, batch * members, size),
            memory.reshape(batch * members, self.memory_size),
            jnp.repeat(first, members, axis=1),
        )
        output = jax.tree.map(lambda x: x.reshape(length, batch, members, -1), output)
        return output, memory.reshape(batch, members, -1)

    def observe(self, params: Params, seen: Array, mask: Array) -> Params:
        """Add inputs to the running statistics in `params`, if there are any.

        Args:
            params: of all members.
            seen: [T, E, N, d] inputs.
            mask: [T, E, N] bool, true for those that count.
        """
        if "statistics" not in params:
            return params
        old = params["statistics"]["torso"]["input"]
        moments = old["mean"], old["variance"], old["count"]
        if self.shared:
            new = merge_moments(*moments, seen.reshape(-1, seen.shape[-1]), mask.reshape(-1))
        else:
            flat = seen.reshape(-1, *seen.shape[2:])
            each = jax.vmap(merge_moments, in_axes=(0, 0, 0, 1, 1))
            new = each(*moments, flat, mask.reshape(-1, mask.shape[-1]))
        names = ("mean", "variance", "count")
        return params | {"statistics": {"torso": {"input": dict(zip(names, new, strict=True))}}}

    def select(self, params: Params, members: Array) -> Params:
        """The parameters of a group of members [K]; the only set if shared."""
        return params if self.shared else jax.tree.map(lambda x: x[members], params)

    def replace(self, params: Params, members: Array, new: Params) -> Params:
        """`params` with those of a group of members [K] replaced."""
        if self.shared:
            return new
        return jax.tree.map(lambda old, x: old.at[members].set(x), params, new)


@dataclass(frozen=True)
class Team(Members):
    """The policies of all N agents; the networks output the parameters of `distribution`."""

    distribution: Distribution
    action_sizes: tuple[int, ...] = ()
    """Each agent's number of action dimensions, if some have fewer; see `EnvironmentSpec`"""

    def own_dimensions(self, agents: Array) -> Array | None:
        """Which action dimensions the agents [K] have: [K, D] bool; None if all have all."""
        if not self.action_sizes:
            return None
        sizes = jnp.array(self.action_sizes, jnp.int32)[agents]
        return jnp.arange(max(self.action_sizes)) < sizes[:, None]

    def log_prob(
        self,
        params: Params,
        observation: Array,
        memory: Array,
        first: Array,
        action: Array,
        available: Array | None,
    ) -> Array:
        """Log-probability of each dimension of the actions [L, C, K, ...]: [L, C, K, D].

        The other arguments are those of `unroll`.
        """
        output, _ = self.unroll(params, observation, memory, first)
        return self.distribution.log_prob(output, action, available)


@dataclass(frozen=True)
class Critic(Members):
    """The value function: one of the global state, or (local) one per agent."""

    local: bool

    def view(self, seen: Observation) -> Array:
        """What each member sees, [..., M, s].

        A dead agent sees zeros, so that its critic learns the value after its death (the death
        masking of Yu et al. 2022).
        """
        if not self.local:
            return seen.state[..., None, :]
        return jnp.where(seen.alive[..., None], seen.observation, 0)

    def members(self, agents: Array) -> Array:
        """The members whose values count for a group of agents [K]: [K] if local, else [1]."""
        return agents if self.local else jnp.zeros(1, agents.dtype)

    def values(self, params: Params, state: Array, memory: Array, first: Array) -> Array:
        """[L, C, M, s], [C, M, h], [L, C] → values [L, C, M]."""
        return self.unroll(params, state, memory, first)[0][..., 0]


def _torso(config: PolicyConfig) -> Torso:
    return Torso(
        config.hidden_sizes,
        config.activation,
        config.recurrent,
        running_normalisation=config.running_normalisation,
        layer_norm=config.layer_norm,
        output_sizes=config.output_sizes,
    )


def check_inputs(config: TrainConfig, spec: EnvironmentSpec) -> None:
    """Refuse a layer norm over so few features that it erases them.

    This is not part of reading a configuration: earlier runs may have such networks and still play.

    Raises:
        ConfigError: a layer norm would see fewer than `LEAST_NORMALISED` features.
    """
    policy = config.policy
    if not policy.layer_norm:
        return
    widths = policy.hidden_sizes + policy.output_sizes
    require(
        min(widths) >= LEAST_NORMALISED,
        "policy.hidden_sizes",
        f"widths of at least {LEAST_NORMALISED} where policy.layer_norm is on, which erases a "
        "single feature and keeps only the order of two",
        widths,
    )
    if policy.running_normalisation:
        return
    sizes = {"agents see": spec.observation_size}
    if config.algorithm.critic == "central":
        sizes["the critic sees"] = spec.state_size
    for who, size in sizes.items():
        require(
            size >= LEAST_NORMALISED,
            "policy.running_normalisation",
            f"on for {spec.name}, where {who} {size} feature(s): a layer norm over fewer than "
            f"{LEAST_NORMALISED} erases a single one and keeps only the order of two. Or turn "
            "policy.layer_norm off",
            policy.running_normalisation,
        )


def make_team(config: PolicyConfig, spec: EnvironmentSpec) -> Team:
    """Make the actors for an environment's observations and actions."""
    continuous = spec.num_actions == 0
    network = ActorNetwork(
        torso=_torso(config),
        head_size=max(spec.action_size, 1) * max(spec.num_actions, 1),
        output_gain=config.output_gain,
        initial_log_std=config.initial_log_std if continuous else None,
    )
    return Team(
        network=network,
        distribution=_distribution(spec),
        action_sizes=spec.action_sizes,
        num_members=spec.num_agents,
        input_size=spec.observation_size,
        shared=config.share_parameters,
        memory_size=config.memory_size,
    )


def _distribution(spec: EnvironmentSpec) -> Distribution:
    if spec.num_actions == 0:
        return DiagonalGaussian()
    return Decisions(spec.action_size) if spec.action_size else MaskedCategorical()


def make_critic(config: PolicyConfig, spec: EnvironmentSpec, *, local: bool = False) -> Critic:
    """Make the critic of the global state, or (`local`) one of each agent's observation."""
    return Critic(
        network=CriticNetwork(_torso(config)),
        num_members=spec.num_agents if local else 1,
        input_size=spec.observation_size if local else spec.state_size,
        shared=config.share_parameters or not local,
        memory_size=config.memory_size,
        local=local,
    )
