"""The fidelity survey's tables: when one estimator's cosine passes another's."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def survey():
    import sys

    sys.path.insert(0, str(ROOT))
    from tools.results import survey

    return survey


def one(direction, noise):
    return {"returns": {"direction": direction}, "noise": noise}


def cosine(direction, noise, batches):
    return direction / np.sqrt(1 + noise / batches)


@given(
    plain=st.tuples(st.floats(0.1, 1), st.floats(0.1, 100)),
    other=st.tuples(st.floats(0.1, 1), st.floats(0.1, 100)),
)
def test_a_correction_pays_where_its_cosine_is_larger(survey, plain, other):
    """At ten times and a tenth of the size that is told, one and the other are ahead."""
    told = survey._from(one(*plain), one(*other), 1)
    sizes = 10.0 ** np.linspace(-6, 9, 200)
    ahead = np.array([cosine(*other, b) > cosine(*plain, b) for b in sizes])
    if abs(plain[0] - other[0]) < 1e-6:
        return
    if told == "always":
        assert ahead.all()
    elif told == "never":
        assert not ahead.any()
    else:
        word, number = told.split()
        size = float(number.replace(",", ""))
        later, sooner = ahead[sizes > 10 * size], ahead[sizes < 0.1 * size]
        if word == "from":
            assert later.all() and not sooner.any()
        else:
            assert word == "below" and sooner.all() and not later.any()


def test_what_is_not_known_is_not_told(survey):
    cosines = {"returns": {"direction": 0.6, "cosines": [0.1] * 40}}
    assert survey._sure(cosines | {"noise": 20.0})
    assert not survey._sure(cosines | {"noise": 40.0})
    assert not survey._sure(cosines | {"noise": None})
    nothing = {"returns": {"direction": None, "cosines": [0.1] * 40}, "noise": 1.0}
    assert not survey._sure(nothing)
    assert survey._from(one(0.5, 10.0), one(0.6, 20.0), 3200) == "from 40,000"
