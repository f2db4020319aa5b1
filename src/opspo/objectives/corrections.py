"""Weights and clip ranges: what each algorithm makes of its team-mates' ratio."""

from __future__ import annotations

import jax.numpy as jnp

from opspo.types import Array


def ppo_range(log_ratio: Array, *, clip: float) -> tuple[Array, Array, Array]:
    """PPO's range 1 ± ε and weight 1, whatever the team-mates' ratio.

    Args:
        log_ratio: any shape; only its shape counts.
        clip: ε.

    Returns:
        weight, low, high in that shape.
    """
    one = jnp.ones_like(log_ratio)
    return one, one * (1 - clip), one * (1 + clip)


def opspo_range(log_ratio: Array, *, clip: float, others_clip: float) -> tuple[Array, Array, Array]:
    """OPSPO's clip range correction (Section 3.3), for each sample, with r = r^{i−1}.

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
