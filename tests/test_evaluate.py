"""What an evaluation says of itself, as JSON and back."""

import json

import numpy as np
import pytest

from opspo.evaluate import Evaluation

NAN, INF = float("nan"), float("inf")


def test_the_summary_has_means_and_each_episode():
    played = Evaluation((1.0, 4.0), (3, 5), (True, False), {"goals": (0.0, 3.0)})
    assert played.summary() == {
        **{"episodes": 2, "mean_return": 2.5, "mean_length": 4.0, "win_rate": 0.5, "goals": 1.5},
        **{"returns": [1.0, 4.0], "lengths": [3, 5], "wins": [True, False]},
        "outcomes": {"goals": [0.0, 3.0]},
    }
    assert Evaluation.of_summary(played.summary()) == played
    bare = Evaluation((1.0,), (3,), None)
    assert Evaluation.of_summary(bare.summary()) == bare


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_what_is_not_finite_is_null_and_nan_again(bad):
    """NaN is no JSON; and a sum with null is none."""
    played = Evaluation((1.0, bad), (3, 5), None, {"share": (bad, 0.5)})
    text = json.dumps(played.summary(), allow_nan=False)
    row = json.loads(text)
    assert (row["mean_return"], row["returns"]) == (None, [1.0, None])
    assert (row["share"], row["outcomes"]["share"]) == (None, [None, 0.5])
    again = Evaluation.of_summary(row)
    np.testing.assert_array_equal(again.returns, [1.0, NAN])
    np.testing.assert_array_equal(again.outcomes["share"], [NAN, 0.5])
    assert json.dumps(again.summary(), allow_nan=False) == text
