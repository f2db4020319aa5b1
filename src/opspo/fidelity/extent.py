"""How much of a checkpoint's fidelity is measured."""

from __future__ import annotations

from dataclasses import dataclass

from opspo.errors import ConfigError


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    updates: tuple[int, ...] = (1,)
    """Updates by which the agents before a stage move: more make the data more off-policy."""
    stages: tuple[int, ...] = ()
    """Numbers of the stages, from 0; by default the second, the middle and the last."""
    batches: int = 80
    """Batches of the size of the run's, from the old policies."""
    own_batches: int = 20
    """Batches from the moved policies themselves, for the control."""
    agreement: float = 0.9
    """Cosine of the reference's halves at which it is good enough."""
    most_steps: int = 400_000
    """Environment steps of a reference at most."""

    def __post_init__(self) -> None:
        for name in ("batches", "own_batches"):
            if getattr(self, name) < 4:
                raise ConfigError(f"{name} must be at least 4, but is {getattr(self, name)}.")
        if not self.updates or min(self.updates) < 1:
            raise ConfigError(f"updates must be at least 1, but are {self.updates}.")
        if self.stages and min(self.stages) < 1:
            raise ConfigError(
                f"stages must be at least 1, but are {self.stages}: before stage 0 nobody has "
                "moved, so that all data are on-policy."
            )
