"""Bounds on the error of a surrogate: the paper's, as printed, and those that hold instead.

Everything here is a function of numbers and arrays: α^i = max_s TV(π^i, π̄^i), ε = max |A|,
ξ = max |A_est − A| and δ = Σ_s |d_est(s) − d(s)| (not half of it), with d and A of π̂^{i−1}. The
bounds that hold require d_est ≥ 0 and Σ_s d_est(s) ≤ 1. The proofs are in docs/theory.md. Arrays
have any shape and broadcast against each other.
"""

from __future__ import annotations

import jax.numpy as jnp

from opspo.theory.tabular import Scalar
from opspo.types import Array


def drift(alpha: Array, *, gamma: Scalar) -> Array:
    """1/(1 − γ) − 1/(1 − γ(1 − α)): expected discounted steps after the first disagreement."""
    return 1 / (1 - gamma) - 1 / (1 - gamma * (1 - alpha))


def trpo(alpha: Array, epsilon: Array, *, gamma: Scalar) -> Array:
    """Eq. 5: the surrogate with d and A of the policy right before the step."""
    return 4 * alpha * epsilon * drift(alpha, gamma=gamma)


def trpo_quadratic(alpha: Array, epsilon: Array, *, gamma: Scalar) -> Array:
    """Eq. 5, second line: looser, without α in the denominator."""
    return 4 * gamma * epsilon * alpha**2 / (1 - gamma) ** 2


def vanilla(
    alpha: Array, alpha_before: Array, epsilon: Array, difference: Array, *, gamma: Scalar
) -> Array:
    """Proposition 1 (Eq. 9): the surrogate with d^π and A^π.

    Args:
        alpha: α^i.
        alpha_before: Σ_{j<i} α^j.
        epsilon: max |A^{π̂^{i−1}}|.
        difference: Δ^i = max |A^{π̂^{i−1}} − A^π|.
        gamma: γ.
    """
    moved = 4 * alpha * epsilon * drift(alpha + alpha_before, gamma=gamma)
    return moved + difference / (1 - gamma)


def theorem_1(alpha: Array, epsilon: Array, delta: Array, xi: Array, *, gamma: Scalar) -> Array:
    """Theorem 1 (Eq. 12) as printed. It does not hold; `corrected` does."""
    return trpo(alpha, epsilon, gamma=gamma) + (alpha * delta * xi + xi) / (1 - gamma)


def corrected(alpha: Array, epsilon: Array, delta: Array, xi: Array, *, gamma: Scalar) -> Array:
    """The bound that holds in place of Theorem 1: with 2 α ε δ instead of α δ ξ.

    It requires d_est(s) ≥ 0 for every state and Σ_s d_est(s) ≤ 1; otherwise ξ must be replaced by
    Σ_s |d_est(s)| ξ.
    """
    return trpo(alpha, epsilon, gamma=gamma) + (2 * alpha * epsilon * delta + xi) / (1 - gamma)


def centred(alpha: Array, epsilon: Array, delta: Array, xi: Array, *, gamma: Scalar) -> Array:
    """`corrected` for the centred surrogate: every term vanishes with α."""
    return trpo(alpha, epsilon, gamma=gamma) + 2 * alpha * (epsilon * delta + xi) / (1 - gamma)


def distribution_shift(alpha: Array, mean_distance: Array, *, gamma: Scalar) -> Array:
    """Bound on Σ_s |d^{π̂^i}(s) − d^{π̂^{i−1}}(s)|: the smaller of two bounds.

    Args:
        alpha: max_s TV(π^i, π̄^i), for the coupling argument of Eq. 5.
        mean_distance: E_{s∼d^{π̂^{i−1}}} TV(π^i, π̄^i), as in Achiam et al. 2017.
        gamma: γ.
    """
    coupled = alpha / (1 - gamma * (1 - alpha))
    return 2 * gamma * jnp.minimum(coupled, mean_distance / (1 - gamma))


def refined(
    shift: Array, swing: Array, delta: Array, advantage_term: Array, *, gamma: Scalar
) -> Array:
    """Our own bound: tighter than `corrected` and `centred`, since only agent i's step counts.

    Args:
        shift: the bound on the shift of the state distribution from `distribution_shift`.
        swing: max_s TV(π^i, π̄^i) · (max − min over a^i of A^{π̂^{i−1}}, averaged over the
            team-mates); at most 2 α ε.
        delta: δ.
        advantage_term: ξ; for the centred surrogate, the swing of A_est − A^{π̂^{i−1}}.
        gamma: γ.
    """
    return (swing * (shift + delta) + advantage_term) / (1 - gamma)


# --- joint bounds, Table 1: they sum over the last axis of α, that of the agents ----------------
# (Theorem 2 is the sum of Theorem 1 over the agents, with the largest ε)


def mappo(alpha: Array, epsilon: Array, *, gamma: Scalar) -> Array:
    """Table 1: 4 ε Σ α^i / (1 − γ)."""
    return 4 * epsilon * alpha.sum(axis=-1) / (1 - gamma)


def mappo_squared(alpha: Array, epsilon: Array, *, gamma: Scalar) -> Array:
    """Table 1's row for MAPPO as printed, 4 ε Σ (α^i)² / (1 − γ), which is not a bound."""
    return 4 * epsilon * (alpha**2).sum(axis=-1) / (1 - gamma)


def coppo(alpha: Array, epsilon: Array, *, gamma: Scalar) -> Array:
    """Table 1, for CoPPO and for HAPPO, which have the same joint surrogate."""
    return trpo(alpha.sum(axis=-1), epsilon, gamma=gamma)


def a2po(alpha: Array, epsilon: Array, xi: Array, *, gamma: Scalar) -> Array:
    """Table 1: states are not corrected, so preceding steps count too; plus Σ ξ^i / (1 − γ)."""
    up_to = jnp.cumsum(alpha, axis=-1)
    terms = 4 * alpha * epsilon[..., None] * drift(up_to, gamma=gamma) + xi / (1 - gamma)
    return terms.sum(axis=-1)
