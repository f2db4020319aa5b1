"""Probes in which agents that each follow their own gradient get in each other's way."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.environments.base import Observation
from opspo.environments.probe import Probe, State, nothing, spec, view
from opspo.types import Array


def coordination() -> Probe:
    """Coordination: exactly one of the two must go. Both going costs 1, both staying pays 0.

    Under a policy that rarely goes, each agent's own gradient says go. Agents that follow it
    simultaneously collide; agents that follow it sequentially do not.
    """

    def observe(state: State) -> Observation:
        del state
        return view(jnp.eye(2), 2, state=jnp.ones(2))

    def update(state: State, action: Array) -> tuple[State, Array, Array]:
        going = (action == 1).sum()
        return state, jnp.array([0.0, 1.0, -1.0])[going], jnp.array(True)

    return Probe(spec("coordination", 2, 1, num_actions=2), 1.0, nothing, observe, update)


OVERSHOOT_PULL, OVERSHOOT_CLASH = 1 / 8, 2.0


def overshoot() -> Probe:
    """Overshooting: the return falls if all four agents take the step that helps each one alone.

    With p_i the probability that agent i goes and x_i = p_i − ½, the expected return is exactly

        J = α Σ_i x_i − β Σ_{i<j} x_i x_j,    α = 1/8, β = 2.

    At x = 0 every agent's own gradient is α > 0. If all take the same step d, J changes by
    4 α d − 6 β d², which is negative for d > 1 / 24: it falls by 0.07 at d = 0.1, the limit of
    PPO's clip of 0.2. Updated sequentially, each aware of the preceding agents, they separate, two
    to either side, and J rises with each update; the best is 1, with two that go and two that stay.
    """
    agents = 4

    def observe(state: State) -> Observation:
        del state
        return Observation(
            observation=jnp.eye(agents),
            state=jnp.ones(2),
            available_actions=jnp.ones((agents, 2), bool),
            alive=jnp.ones(agents, bool),
        )

    def update(state: State, action: Array) -> tuple[State, Array, Array]:
        x = action - 0.5
        pairs = (x.sum() ** 2 - (x**2).sum()) / 2
        return state, OVERSHOOT_PULL * x.sum() - OVERSHOOT_CLASH * pairs, jnp.array(True)

    sizes = spec("overshoot", agents, 1, num_agents=agents, num_actions=2, state_size=2)
    return Probe(sizes, 1.0, nothing, observe, update)


def regulator() -> Probe:
    """Continuous actions that add up: three agents steer one number to 0 over ten steps.

    x' = x + mean_i a_i, reward −x² − 0.05 mean_i a_i². Each agent alone would correct the whole
    error, so together they overshoot. The optimum is the finite-horizon Riccati solution.
    """
    agents, limit, cost = 3, 10, 0.05
    price = 0.0  # the cost-to-go of x², from the last step backwards
    for _ in range(limit):
        price = 1 + price * cost / (cost + price)

    def observe(state: State) -> Observation:
        clock = state["t"] / limit
        # both signs, since a layer norm removes the mean
        features = jnp.stack([state["x"], -state["x"], clock, 1 - clock, jnp.array(1.0)])
        return Observation(
            observation=jnp.tile(features, (agents, 1)),
            state=features,
            available_actions=None,
            alive=jnp.ones(agents, bool),
        )

    def update(state: State, action: Array) -> tuple[State, Array, Array]:
        effort = action[:, 0]
        reward = -(state["x"] ** 2) - cost * (effort**2).mean()
        return state | {"x": state["x"] + effort.mean()}, reward, state["t"] == limit - 1

    sizes = spec("regulator", 5, limit, num_agents=agents, action_size=1)
    # the start is uniform on [−1, 1], so E[x²] = 1/3
    return Probe(sizes, -price / 3, lambda draw: {"x": 2 * draw[0] - 1}, observe, update)
