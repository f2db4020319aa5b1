"""The state weight by one regularised linear solve, with ω and f linear in given features."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from opspo.estimators.density_ratio import arrival_masses, shares
from opspo.estimators.elimination import solve
from opspo.estimators.products import product
from opspo.types import Array


@struct.dataclass
class Equation:
    """The parts of the estimating equation that do not depend on the target policy's ratios."""

    whitening: Array
    """[p + 1, r] maps features with an appended constant to r white features"""
    now: Array
    """[S, r] white features φ"""
    surprise: Array
    """[S, r] landing φ̂ minus its prediction from the state"""
    matrix: Array
    """[r, r] the matrix of the equation at ρ = 1"""
    share: Array
    """[S] weights with sum 1"""


def linear_equation(
    features: Array,
    successor_features: Array,
    weight: Array,
    continues: Array,
    initial_features: Array | None = None,
    initial_weight: Array | None = None,
    *,
    gamma: float,
    size: int | None = None,
) -> Equation:
    """The moments that do not depend on the target policy, for `solve_equation`.

    `density_ratio` defines the symbols.

    Args:
        features: [S, p] φ(s); a constant is appended here.
        successor_features: [S, p] φ(s').
        weight: [S] w.
        continues: [S] c.
        initial_features: [S0, p] φ(s0); None if γ = 1 and c = 1, where no term has them.
        initial_weight: [S0] w_0; 1 by default.
        gamma: γ; 1 for the stationary form.
        size: r, the number of white features to keep, those with the largest variance (after
            scaling each feature to unit size); None: all.
    """
    if initial_features is None:
        initial_features = features[:0]
    if initial_weight is None:
        initial_weight = jnp.ones_like(initial_features[:, 0])
    # a GPU's default of ten bits in matrix products is too coarse for solving equations
    with jax.default_matmul_precision("highest"):
        states = [_with_constant(x) for x in (features, successor_features, initial_features)]
        arrival = arrival_masses(weight, continues, initial_weight, gamma=gamma)
        whitening = _whitening(jnp.concatenate(states[1:]), jnp.concatenate(arrival))
        whitening = whitening if size is None else whitening[:, -size:]
        now, after, start = (x @ whitening for x in states)
        stays = gamma * continues[:, None]
        begin = (shares(initial_weight) @ start)[None, :]
        landing = stays * after + (gamma - stays) * begin
        share = shares(weight)
        surprise, matrix = _moments(now, landing, share)
    return Equation(whitening, now, surprise, matrix, share)


def solve_equation(equation: Equation, ratio: Array, *, ridge: float) -> Array:
    """Coefficients of ω = 1 + φᵀα that solve `density_ratio`'s equation for f in the span of φ.

    With M = E[φ φᵀ] and A α − b the residual, which is linear in α, they minimise

        (b − A α)ᵀ M⁻¹ (b − A α)  +  ridge · αᵀ M α.

    The first term is the maximum over f with unit root mean square, the second a prior,
    ridge · E[(ω − 1)²]. Any invertible linear map of the features gives the same ω.

    Args:
        equation: from `linear_equation`.
        ratio: [S, K] ρ for each of K targets.
        ridge: > 0. Without it, the stationary form leaves the scale of ω undetermined.

    Returns:
        α [p + 1, K], for `linear_omega`.
    """
    with jax.default_matmul_precision("highest"):
        surplus = equation.share[:, None] * (ratio - 1)
        change = jnp.einsum("sk,sp,sq->kpq", surplus, equation.surprise, equation.now)
        vector = surplus.T @ equation.surprise
        solution = _ridge_solve(equation.matrix[None] - change, vector, ridge)
        return equation.whitening @ solution.T


def linear_omega(features: Array, coefficients: Array) -> Array:
    """ω = 1 + φᵀα for features [..., p] and coefficients [p + 1, K]: [..., K], of either sign."""
    return 1 + product(_with_constant(features), coefficients)


def _with_constant(features: Array) -> Array:
    return jnp.concatenate([features, jnp.ones_like(features[..., :1])], axis=-1)


def _whitening(features: Array, mass: Array) -> Array:
    """W [p, p] with E[(φW)ᵀ(φW)] = 1, and 0 in directions in which the features do not vary.

    The columns are in ascending order of variance.
    """
    scale = jnp.sqrt(jnp.maximum(mass @ features**2, jnp.finfo(mass.dtype).tiny))
    features = features / scale[None, :]
    values, vectors = jnp.linalg.eigh((mass[:, None] * features).T @ features)
    smallest = 10 * jnp.finfo(mass.dtype).eps * len(values) * values[-1]
    root = jnp.where(values > smallest, jnp.maximum(values, smallest) ** -0.5, 0)
    return vectors * root[None, :] / scale[:, None]


def _moments(now: Array, landing: Array, share: Array) -> tuple[Array, Array]:
    """The surprise [S, r], and the matrix [r, r] of A α = b at ρ = 1.

    For targets with ratio ρ, A = 1 − E[ρ φ̂ φᵀ] and b = E[(ρ − 1) φ̂], where φ̂ is the landing:
    γ φ(s'), or after an end γ times the mean features of the initial states. E[ρ − 1 | s] = 0, so
    the part of the landing that the state predicts is subtracted wherever it multiplies ρ − 1. That
    leaves expectations unchanged and reduces the noise of ρ, most where states change slowly.
    """
    weighted = share[:, None] * now
    second = weighted.T @ now
    cross = weighted.T @ landing
    ridge = jnp.finfo(now.dtype).eps * jnp.trace(second) * jnp.eye(len(second), dtype=now.dtype)
    surprise = landing - now @ solve(second + ridge, cross)
    return surprise, jnp.eye(len(cross), dtype=cross.dtype) - cross.T


def _ridge_solve(matrix: Array, vector: Array, ridge: float) -> Array:
    """argmin_x ‖A x − b‖² + ridge ‖x‖² for A [K, p, p] and b [K, p]: [K, p]."""
    transposed = matrix.mT
    normal = transposed @ matrix + ridge * jnp.eye(matrix.shape[-1], dtype=matrix.dtype)[None]
    return jax.vmap(solve)(normal, (transposed @ vector[..., None])[..., 0])


def draw_frequencies(
    key: Array, state_size: int, count: int, *, bandwidth: float
) -> tuple[Array, Array]:
    """Draw frequencies [d, p] and phases [p] of `fourier_features` for a Gaussian kernel.

    Args:
        key: the random key.
        state_size: d.
        count: p.
        bandwidth: h of the kernel exp(−‖x − y‖² / 2 h²).
    """
    frequency_key, phase_key = jax.random.split(key)
    frequency = jax.random.normal(frequency_key, (state_size, count)) / bandwidth
    return frequency, jax.random.uniform(phase_key, (count,), maxval=2 * jnp.pi)


def fourier_features(state: Array, frequency: Array, phase: Array) -> Array:
    """Random Fourier features √2 cos(xᵀ frequency + phase) (Rahimi and Recht 2007).

    The mean over p of the products of two states' features approximates exp(−‖x − y‖² / 2 h²).

    Args:
        state: [..., d].
        frequency: [d, p].
        phase: [p].

    Returns:
        [..., p].
    """
    angle = product(state, frequency)
    return jnp.sqrt(jnp.asarray(2, angle.dtype)) * jnp.cos(
        angle + jnp.broadcast_to(phase, angle.shape)
    )
