"""Seeds for a batch of environments."""

from __future__ import annotations

import numpy as np


def spread(seed: int, count: int) -> list[int]:
    """`count` seeds in [0, 2³¹) that are unlikely to occur under any other `seed`.

    Counting up from `seed` instead would make environment 1 of seed 0 play the same episodes as
    environment 0 of seed 1.
    """
    words = np.random.SeedSequence(seed).generate_state(count)
    return [int(word) % 2**31 for word in words]
