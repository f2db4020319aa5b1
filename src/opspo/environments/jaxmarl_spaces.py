"""JaxMARL's action spaces, told apart by their type, as functions that run inside JAX."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from opspo.environments.decisions import Action, to_range
from opspo.environments.quiet import silenced
from opspo.errors import ConfigError


def action_of(space: Any, who: str) -> Action:
    """What an agent decides in one of JaxMARL's action spaces; `decode` takes a JAX array.

    Args:
        space: the space.
        who: for messages, such as "jaxmarl/overcooked: agent 'agent_0'".

    Raises:
        ConfigError: the space is not Discrete, MultiDiscrete or Box.
    """
    with silenced():
        from jaxmarl.environments import spaces  # noqa: PLC0415  (takes four seconds)

    if isinstance(space, spaces.Discrete):
        return Action(1, (int(space.n),), lambda own: own[0])
    if isinstance(space, spaces.MultiDiscrete):
        counts = tuple(int(n) for n in np.asarray(space.num_categories).reshape(-1))
        return Action(len(counts), counts, lambda own: own.reshape(space.shape))
    if isinstance(space, spaces.Box):
        size = math.prod(space.shape)
        low, high = (
            np.broadcast_to(np.asarray(end, float), space.shape).reshape(-1)
            for end in (space.low, space.high)
        )
        centre, half = (jnp.asarray(part, jnp.float32) for part in to_range(low, high))
        return Action(
            size, (), lambda own: (centre + half * jnp.clip(own, -1, 1)).reshape(space.shape)
        )
    raise ConfigError(
        f"{who} acts in a {type(space).__name__}; of JaxMARL's spaces, opspo supports Discrete, "
        "MultiDiscrete and Box."
    )
