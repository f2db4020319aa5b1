"""Seeds of environments side by side."""

from __future__ import annotations

import numpy as np


def spread(seed: int, count: int) -> list[int]:
    """Seeds for `count` environments, in [0, 2³¹), that those of no other seed are likely to share.

    Counting on from the seed instead would have environment 1 of seed 0 play the episodes of
    environment 0 of seed 1.
    """
    words = np.random.SeedSequence(seed).generate_state(count)
    return [int(word) % 2**31 for word in words]
