"""Weights and clip ranges (CRC and the others'), by the names that they have in the config."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp

from opspo.config import AlgorithmConfig
from opspo.objectives import corrections
from opspo.types import Array

Range = Callable[[Array, Array, Array], tuple[Array, Array, Array]]
"""(log_ratio [..., K], position [K], nearness [K]) → weight, low, high, each [..., K]."""


def clip_range(config: AlgorithmConfig) -> Range:
    """The weight and range that the config's `clip_range` names."""
    clip, others_clip = config.clip, config.others_clip
    double = partial(corrections.double_clip_range, others_clip=others_clip)
    ranges: dict[str, Range] = {
        "ppo": lambda r, *_: corrections.ppo_range(r, clip=clip),
        "ratio": lambda r, *_: corrections.ratio_range(r, clip=clip),
        "joint": lambda r, *_: corrections.joint_range(r, clip=clip),
        "double": lambda r, *_: double(r, clip=clip),
        "double_by_position": lambda r, position, _: double(
            r, clip=jnp.broadcast_to(corrections.position_clip(position, clip=clip), r.shape)
        ),
        "double_by_ratios": lambda r, _, nearness: double(
            r, clip=jnp.broadcast_to(clip * nearness, r.shape)
        ),
        "corrected": lambda r, *_: corrections.opspo_range(r, clip=clip, others_clip=others_clip),
    }
    return ranges[config.clip_range]
