"""A run that is stopped and resumed, beside one that is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np

import opspo
from opspo.config import TrainConfig


def assert_resumed(config: TrainConfig, folder: Path) -> None:
    """Two iterations and two more leave the same policies as four."""
    config = replace(config, optimiser=replace(config.optimiser, anneal=False))
    whole, parts = (replace(config, run_dir=str(folder / name)) for name in ("whole", "parts"))
    opspo.train(replace(whole, total_steps=1024))
    opspo.train(replace(parts, total_steps=512))
    opspo.resume(parts.run_dir, total_steps=1024)
    one, other = (jax.tree.leaves(opspo.load_policy(x.run_dir).params) for x in (whole, parts))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)
