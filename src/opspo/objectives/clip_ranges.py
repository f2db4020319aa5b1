"""Weights and clip ranges, as functions of the team-mates' ratio r = r^{i−1}.

The setting `clip_range` names a function here. Each returns the weight and the two ends of the
range for `surrogate.clipped_surrogate`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.estimators.ratios import effective_sample_size
from opspo.objectives import agent_clips
from opspo.types import Array


def ppo(log_ratio: Array, *, clip: float) -> tuple[Array, Array, Array]:
    """PPO's range 1 ± ε and weight 1, whatever the team-mates' ratio (MAPPO, IPPO).

    Args:
        log_ratio: any shape; only its shape matters.
        clip: ε.

    Returns:
        weight, low, high in that shape.
    """
    one = jnp.ones_like(log_ratio)
    return one, one * (1 - clip), one * (1 + clip)


def ratio(log_ratio: Array, *, clip: float) -> tuple[Array, Array, Array]:
    """HAPPO's weight r and range 1 ± ε (Kuba et al. 2022, Eq. 11).

    Args:
        log_ratio: log r, any shape.
        clip: ε.

    Returns:
        weight, low, high in that shape.
    """
    _, low, high = ppo(log_ratio, clip=clip)
    return jnp.exp(log_ratio), low, high


def effective(log_ratio: Array, *, clip: float) -> tuple[Array, Array, Array]:
    """PPO's range 1 ± ε with the weight min(r, e), e the effective sample share of r.

    e = (Σ r)² / (S Σ r²), over all S samples of the batch, for each agent. This is P3O's bound
    (Fakoor et al. 2020, Eq. 9) on the ratio of the team-mates: on-policy data have e = 1 and keep
    weight 1, and the more uneven the ratios, the lower the bound. Where e < 1 all weights below it
    stay; the scale of the weights falls with e, as in P3O.

    Args:
        log_ratio: [..., K] log r, samples on the leading axes.
        clip: ε.

    Returns:
        weight, low, high in that shape.
    """
    _, low, high = ppo(log_ratio, clip=clip)
    samples = log_ratio.reshape(-1, log_ratio.shape[-1])
    share = jax.vmap(effective_sample_size, in_axes=1)(samples, jnp.ones_like(samples, bool))
    return jnp.minimum(jnp.exp(log_ratio), jnp.broadcast_to(share, log_ratio.shape)), low, high


def joint(log_ratio: Array, *, clip: float) -> tuple[Array, Array, Array]:
    """HAPPO's range in A2PO's public code, which clips the product with the agent's own ratio.

        min( r r^i A, clip(r r^i, 1 ± ε) A )  =  r · min( r^i A, clip(r^i, (1 ± ε) / r) A )

    (`clip_before_prod` at its default, False, in onpolicy/algorithms/r_mappo/r_mappo.py). HAPPO's
    paper and HARL use `ratio`.

    Args:
        log_ratio: log r, any shape.
        clip: ε.

    Returns:
        weight r, low, high in that shape.
    """
    ratio = jnp.exp(log_ratio)
    return ratio, (1 - clip) / ratio, (1 + clip) / ratio


def double(
    log_ratio: Array, *, clip: float | Array, others_clip: float
) -> tuple[Array, Array, Array]:
    """CoPPO's double clip (Wu et al. 2021, Eq. 12), and A2PO's if `clip` varies by agent.

    g = clip(r, 1 ± ε2) multiplies the agent's own ratio, and the product is clipped to 1 ± ε1:

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


def double_by_position(
    log_ratio: Array, position: Array, *, clip: float, others_clip: float
) -> tuple[Array, Array, Array]:
    """`double` with A2PO's ε_i in place of ε1: agents early in the order move less.

    Args:
        log_ratio: [..., K] log r.
        position: [K] i/n, in (0, 1].
        clip: ε.
        others_clip: ε2, 0 < ε2 ≤ ε/2.

    Returns:
        weight g, low, high, each [..., K].
    """
    own = agent_clips.position_clip(position, clip=clip)
    return double(log_ratio, clip=jnp.broadcast_to(own, log_ratio.shape), others_clip=others_clip)


def double_by_ratios(
    log_ratio: Array, nearness: Array, *, clip: float, others_clip: float
) -> tuple[Array, Array, Array]:
    """`double` with ε1 scaled by `agent_clips.nearness`, as in A2PO's public settings.

    Args:
        log_ratio: [..., K] log r.
        nearness: [K], in (0, 1].
        clip: ε.
        others_clip: ε2, 0 < ε2 < ε.

    Returns:
        weight g, low, high, each [..., K].
    """
    own = jnp.broadcast_to(clip * nearness, log_ratio.shape)
    return double(log_ratio, clip=own, others_clip=others_clip)


def corrected(log_ratio: Array, *, clip: float, others_clip: float) -> tuple[Array, Array, Array]:
    """OPSPO's clip range correction (Section 3.3).

        l = min( max(r, 1/r) (1 − ε1), 1 − ε2 )
        h = max( min(r, 1/r) (1 + ε1), 1 + ε2 )
        r̃ = clip(r, 1 − ε1, 1 + ε1)

    The further the team-mates have moved (r away from 1 on either side), the narrower the range,
    down to 1 ± ε2; at r = 1 it is 1 ± ε1. The paper multiplies ratio and range by r̃, which is the
    same as the weight r̃ here: see `surrogate.clipped_surrogate`.

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
