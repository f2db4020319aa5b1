"""What is kept of one candidate's directions, batch by batch, and what they say in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from opspo.fidelity.directions import Floats, Mean, corrected_cosine, cosine
from opspo.fidelity.reference import RETURNS, Reference

DIGITS = 4


@dataclass
class Nearness:
    """Directions beside those of the reference."""

    mean: Mean
    cosines: dict[str, list[float]] = field(default_factory=dict)
    """Target → the cosine of each batch"""

    def add(self, direction: ArrayLike, targets: Mapping[str, Floats]) -> None:
        """Count the direction [P] of a batch, beside the targets' [P]."""
        for name, target in targets.items():
            self.cosines.setdefault(name, []).append(cosine(direction, target))
        self.mean.add(direction)

    def summary(self, targets: Mapping[str, Mean]) -> dict[str, Any]:
        """For each target the `cosines` of single batches, the `cosine` of their mean, and
        `direction`, the same without what noise takes from it: bias alone. `noise` is
        E|g − mean|² / |mean|²."""
        found: dict[str, Any] = {
            name: {
                "cosines": [_rounded(each) for each in self.cosines[name]],
                "cosine": _rounded(cosine(self.mean.value, target.value)),
                "direction": _rounded(corrected_cosine(self.mean, target)),
            }
            for name, target in targets.items()
        }
        return found | {"noise": _rounded(self.mean.noise)}


@dataclass
class Tally:
    """All that is kept of a candidate."""

    batches: int
    """How many are counted"""
    first: Nearness = field(init=False)
    """First gradients"""
    epoch: Nearness = field(init=False)
    """Changes of the parameters in the first epoch"""
    states: Mean = field(init=False)
    """Moments of the weighted states"""

    def __post_init__(self) -> None:
        self.first, self.epoch = (Nearness(Mean(self.batches)) for _ in range(2))
        self.states = Mean(self.batches)

    def add(
        self,
        first: ArrayLike,
        epoch: ArrayLike,
        states: ArrayLike,
        targets: Mapping[str, Floats],
    ) -> None:
        """Count a batch."""
        self.first.add(first, targets)
        self.epoch.add(epoch, targets)
        self.states.add(states)

    def summary(self, found: Reference) -> dict[str, Any]:
        """The two kinds of directions, and `states`: the squared distance of the weighted states'
        moments from those under the moved policies, without bias (it may be negative)."""
        return {
            "first": self.first.summary(found.targets),
            "epoch": self.epoch.summary(found.targets),
            "states": _rounded(squared_distance(self.states, found.moments)),
        }


def squared_distance(one: Mean, other: Mean) -> float:
    """|a − b|² of two expected vectors, from the product of two independent differences."""
    first, second = (a - b for a, b in zip(one.halves, other.halves, strict=True))
    return float(first @ second)


def reference_summary(found: Reference) -> dict[str, Any]:
    """How sure the reference is of each target, and how far each is from the policy gradient."""
    true = found.targets[RETURNS]
    return {
        "steps": found.steps,
        "targets": {
            name: {
                "agreement": _rounded(mean.agreement),
                "precision": _rounded(mean.precision),
                "cosine": _rounded(cosine(mean.value, true.value)),
            }
            for name, mean in found.targets.items()
        },
    }


def _rounded(x: float) -> float | None:
    return round(float(x), DIGITS) if np.isfinite(x) else None
