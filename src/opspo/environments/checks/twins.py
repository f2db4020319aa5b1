"""Whether two plays are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from opspo.environments.base import Step
from opspo.environments.checks.episodes import equal


def difference(one: Any, other: Any) -> str:
    """The first field in which two plays differ; "" if there is none.

    Args:
        one: an `Observation`, a `Step`, or a tuple of both.
        other: the same from the other play.
    """
    if isinstance(one, tuple | list):
        found = (difference(a, b) for a, b in zip(one, other, strict=True))
        return next(filter(None, found), "")
    names = ["observation", "state", "available_actions", "alive"]
    if isinstance(one, Step):
        within = difference(one.observation, other.observation)
        if within:
            return within
        names = ["reward", "terminated", "truncated", "win"]
    for name in names:
        a, b = getattr(one, name), getattr(other, name)
        if not _close(np.asarray(a), np.asarray(b)):
            return name
    return ""


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays are equal up to rounding, which a GPU does not reproduce."""
    if a.shape == b.shape and np.issubdtype(a.dtype, np.inexact):
        return np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True)
    return equal(a, b)
