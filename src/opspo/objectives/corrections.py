"""Weights and clip ranges: what each algorithm makes of its team-mates' ratio r = r^{i−1}."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.types import Array


def ppo_range(log_ratio: Array, *, clip: float) -> tuple[Array, Array, Array]:
    """PPO's range 1 ± ε and weight 1, whatever the team-mates' ratio (MAPPO, IPPO).

    Args:
        log_ratio: any shape; only its shape counts.
        clip: ε.

    Returns:
        weight, low, high in that shape.
    """
    one = jnp.ones_like(log_ratio)
    return one, one * (1 - clip), one * (1 + clip)


def ratio_range(log_ratio: Array, *, clip: float) -> tuple[Array, Array, Array]:
    """HAPPO's weight r and range 1 ± ε (Kuba et al. 2022, Eq. 11).

    Args:
        log_ratio: log r, any shape.
        clip: ε.

    Returns:
        weight, low, high in that shape.
    """
    _, low, high = ppo_range(log_ratio, clip=clip)
    return jnp.exp(log_ratio), low, high


def joint_range(log_ratio: Array, *, clip: float) -> tuple[Array, Array, Array]:
    """HAPPO's range in A2PO's public code: the product with the own ratio is what is clipped.

        min( r r^i A, clip(r r^i, 1 ± ε) A )  =  r · min( r^i A, clip(r^i, (1 ± ε) / r) A )

    (`clip_before_prod` at its default, False, in onpolicy/algorithms/r_mappo/r_mappo.py). HAPPO's
    paper and HARL have `ratio_range`.

    Args:
        log_ratio: log r, any shape.
        clip: ε.

    Returns:
        weight r, low, high in that shape.
    """
    ratio = jnp.exp(log_ratio)
    return ratio, (1 - clip) / ratio, (1 + clip) / ratio


def double_clip_range(
    log_ratio: Array, *, clip: float | Array, others_clip: float
) -> tuple[Array, Array, Array]:
    """CoPPO's double clip (Wu et al. 2021, Eq. 12), and A2PO's with a clip for each agent.

    g = clip(r, 1 ± ε2) enters the product with the own ratio before that is clipped to 1 ± ε1:

        min( g r^i A, clip(g r^i, 1 ± ε1) A )  =  g · min( r^i A, clip(r^i, (1 ± ε1) / g) A ).

    Args:
        log_ratio: log r, any shape.
        clip: ε1, broadcast against `log_ratio`.
        others_clip: ε2, 0 < ε2 < ε1.

    Returns:
        weight g, low, high in the shape of `log_ratio`.
    """
    g = jnp.clip(jnp.exp(log_ratio), 1 - others_clip, 1 + others_clip)
    return g, (1 - clip) / g, (1 + clip) / g


def position_clip(position: Array, *, clip: float) -> Array:
    """A2PO's ε_i = ε (½ + ½ i/n): agents early in the order move less (Wang et al. 2023).

    Args:
        position: i/n, in (0, 1].
        clip: ε.

    Returns:
        In the shape of `position`.
    """
    return clip * (0.5 + 0.5 * position)


def nearness(log_ratios: Array) -> Array:
    """How near the agents still are to the policies that collected the data, for A2PO's clip.

    A2PO's public code has ε_i = ε · m_i / max_j m_j with m_i the mean over the samples of
    1 / Π_{j≥i} (1 + |1 − r^j|), the product over the agents from i on in the order of their
    numbers (`clip_param_weight_rp`, `_get_clip_params_rp` in onpolicy/algorithms/r_mappo/
    r_mappo.py). The paper has `position_clip`.

    Args:
        log_ratios: [..., N] log of each agent's own ratio, 0 where it is dead.

    Returns:
        m_i / max_j m_j, [N], in (0, 1]; 1 for the last agent.
    """
    distance = jnp.log1p(jnp.abs(jnp.expm1(log_ratios)))
    # the sum over the agents from each one on
    from_here = jnp.cumsum(distance[..., ::-1], axis=-1)[..., ::-1]
    mean = jnp.exp(-from_here).reshape(-1, log_ratios.shape[-1]).mean(axis=0)
    return mean / mean.max()


def opspo_range(log_ratio: Array, *, clip: float, others_clip: float) -> tuple[Array, Array, Array]:
    """OPSPO's clip range correction (Section 3.3).

        l = min( max(r, 1/r) (1 − ε1), 1 − ε2 )
        h = max( min(r, 1/r) (1 + ε1), 1 + ε2 )
        r̃ = clip(r, 1 − ε1, 1 + ε1)

    The further the team-mates have moved (r away from 1 on either side), the narrower the range,
    down to 1 ± ε2; at r = 1 it is 1 ± ε1. The paper multiplies ratio and range by r̃, which comes
    to the weight r̃ here: see `surrogate.clipped_surrogate`.

    Args:
        log_ratio: log r, any shape.
        clip: ε1.
        others_clip: ε2, 0 < ε2 < ε1.

    Returns:
        weight r̃, low, high in that shape.
    """
    away = jnp.exp(jnp.abs(log_ratio))
    low = jnp.minimum(away * (1 - clip), 1 - others_clip)
    high = jnp.maximum((1 + clip) / away, 1 + others_clip)
    return jnp.clip(jnp.exp(log_ratio), 1 - clip, 1 + clip), low, high
