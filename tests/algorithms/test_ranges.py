"""The named ranges, where all of them are PPO's."""

from typing import get_args

import numpy as np
import pytest

from opspo.algorithms.names import ClipRangeName
from opspo.objectives import clip_ranges
from opspo.terms import call, named


@pytest.mark.parametrize("name", get_args(ClipRangeName))
def test_team_mates_that_have_not_moved_leave_ppos_range(name):
    """The last in the order, when nobody has moved."""
    ones = np.ones(4)
    offered = {"log_ratio": 0 * ones, "position": ones, "nearness": ones}
    found = call(named(clip_ranges, name), offered | {"clip": 0.3, "others_clip": 0.1})
    for got, expected in zip(found, (1, 0.7, 1.3), strict=True):
        np.testing.assert_allclose(got, expected * ones, rtol=1e-6)
