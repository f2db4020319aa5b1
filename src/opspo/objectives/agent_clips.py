"""A2PO's clip for each agent: by its position in the order, or by how far agents have moved."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.types import Array


def position_clip(position: Array, *, clip: float) -> Array:
    """A2PO's ε_i = ε (½ + ½ i/n): agents early in the order move less (Wang et al. 2023).

    Args:
        position: i/n, in (0, 1], any shape.
        clip: ε.

    Returns:
        ε_i, in the shape of `position`.
    """
    return clip * (0.5 + 0.5 * position)


def nearness(log_ratios: Array) -> Array:
    """How close the agents still are to the policies that collected the data, for A2PO's clip.

    A2PO's public code uses ε_i = ε · m_i / max_j m_j, where m_i is the mean over samples of
    1 / Π_{j≥i} (1 + |1 − r^j|), a product over agent i and those with higher numbers
    (`clip_param_weight_rp`, `_get_clip_params_rp` in onpolicy/algorithms/r_mappo/r_mappo.py). The
    paper has `position_clip`.

    Args:
        log_ratios: [..., N] log of each agent's own ratio, 0 where it is dead.

    Returns:
        m_i / max_j m_j, [N], in (0, 1]; 1 for the last agent.
    """
    distance = jnp.log1p(jnp.abs(jnp.expm1(log_ratios)))
    # for each agent, the sum over itself and all later ones
    from_here = jnp.cumsum(distance[..., ::-1], axis=-1)[..., ::-1]
    mean = jnp.exp(-from_here).reshape(-1, log_ratios.shape[-1]).mean(axis=0)
    return mean / mean.max()
