"""The named ranges, where all of them are PPO's."""

from typing import get_args

import numpy as np
import pytest

from opspo.algorithms.ranges import clip_range
from opspo.config import HAPPOConfig
from opspo.config.algorithm import ClipRangeName


@pytest.mark.parametrize("name", get_args(ClipRangeName))
def test_team_mates_that_have_not_moved_leave_ppos_range(name):
    """The last in the order, when nobody has moved."""
    config = HAPPOConfig(clip_range=name, clip=0.3, others_clip=0.1)
    ones = np.ones(4)
    for got, expected in zip(clip_range(config)(0 * ones, ones, ones), (1, 0.7, 1.3), strict=True):
        np.testing.assert_allclose(got, expected * ones, rtol=1e-6)
