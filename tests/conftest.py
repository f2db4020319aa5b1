"""Strict arithmetic for the mathematics, and small runs that several tests look at."""

from __future__ import annotations

from pathlib import Path

import jax
import pytest
from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("steady")

STRICT = ("estimators", "objectives", "update", "policies")


@pytest.fixture(autouse=True)
def strict(request):
    """64 bits, and no silent promotion of rank or dtype, in the tests of the mathematics."""
    folder = Path(request.node.path).parent.name
    if folder not in STRICT:
        yield
        return
    lenient = request.node.get_closest_marker("lenient_dtypes")
    with (
        jax.enable_x64(True),
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("standard" if lenient else "strict"),
    ):
        yield
