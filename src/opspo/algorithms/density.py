"""Settings of the state weights that estimate a density ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opspo.errors import require


@dataclass(frozen=True, kw_only=True)
class DensityConfig:
    """How the density ratio ω is estimated if `state_weight` is linear, kernel or minimax."""

    equation: Literal["stationary", "discounted"] = "stationary"
    """The estimating equation. `stationary`: for the batch as sampled, with equal weight for every
    step. `discounted`: each sample weighted by γ^t, as in Eq. 16 to 18 (erratum E11)."""
    features: Literal["critic", "fourier"] = "critic"
    """linear: the critic's last hidden layer, or random Fourier features of the state."""
    num_features: int = 64
    """linear: number of directions of the features to use, those with the largest variance; also
    the number of random Fourier features."""
    ridge: float = 0.03
    """linear: weight of the penalty E[(ω − 1)²]."""
    hidden_sizes: tuple[int, ...] = (64, 64)
    """kernel, minimax: hidden widths of ω and of the test function f."""
    learning_rate: float = 1e-3
    """kernel, minimax: step size of ω."""
    test_pace: float = 10.0
    """minimax: step size of f as a multiple of that of ω. At equal step sizes, f cannot keep up."""
    outer_steps: int = 10
    """kernel, minimax: ω_e, steps of ω for each agent in each iteration."""
    inner_steps: int = 5
    """minimax: f_e, steps of f before each step of ω."""
    iterations: int = 20
    """kernel, minimax: ω_n, the number of recent iterations whose data are used."""
    samples: int = 200
    """kernel, minimax: steps kept from each of those iterations."""
    batch_size: int = 512
    """kernel, minimax: samples per gradient step."""
    warm_start: bool = True
    """kernel, minimax: continue from the last iteration's networks rather than from fresh ones."""
    printed: bool = False
    """minimax: add the squares of the two expectations, as Eq. 33 is printed, although the sum does
    not vanish at the true ratio (erratum E5)."""

    def __post_init__(self) -> None:
        for name in (
            "num_features",
            "outer_steps",
            "inner_steps",
            "iterations",
            "samples",
            "batch_size",
        ):
            value = getattr(self, name)
            require(value >= 1, f"algorithm.density.{name}", "at least 1", value)
        require(self.ridge > 0, "algorithm.density.ridge", "positive", self.ridge)
        for name in ("learning_rate", "test_pace"):
            value = getattr(self, name)
            require(value > 0, f"algorithm.density.{name}", "positive", value)
        require(
            len(self.hidden_sizes) >= 1 and min(self.hidden_sizes) >= 1,
            "algorithm.density.hidden_sizes",
            "one or more positive widths",
            self.hidden_sizes,
        )
