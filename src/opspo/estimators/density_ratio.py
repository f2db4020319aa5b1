"""The learned state weight ω(s) = d^{π̂}(s) / d^{mix}(s): Eq. 16 to 18 and 33 of the paper.

**The equation.** Samples (s, a, s') of a behaviour policy have weights w (for the discounted
distribution γ^t, with t the steps since the episode began; for the stationary one 1; 0 leaves a
sample out), `continues` c (0 if s' comes after a termination, else 1) and ratios
ρ = π̂(a|s) / π_mix(a|s); s0 are the states in which episodes begin. A state is reached from its
predecessor with probability γ c, and otherwise by a fresh start. The state distributions of both
policies are fixed points of this process, so for every function f

    γ E[c (ω(s') − ω(s) ρ) f(s')]  +  β_1 E_0[ω(s0) f(s0)]  −  β_ω E_0[f(s0)]  =  0,
    β_ω = 1 − γ + γ E[ω(s) ρ (1 − c)],    β_1 the same at ω ρ = 1,    E[ω] = 1.

With c = 1 this is Eq. 33, γ E[Δ f(s')] − (1 − γ) E_0[(1 − ω(s0)) f(s0)] = 0. With γ = 1 it is the
stationary form of erratum E11, in which the end of an episode leads to the next one: either with
c = 0, or with c = 1 and s' the first state of the next episode, and then no initial state is
needed. The paper's form has two advantages over that of Liu et al. (2018), which has E[ω(s) f(s)]
in place of γ E[c ω(s') f(s')] + β_1 E_0[ω(s0) f(s0)]. If nobody moved (ρ = 1), ω = 1 solves it on
any batch, without noise. And rollouts cut off before the episode's end leave no remainder.

**A further erratum.** Eq. 33 adds the squares of its two expectations. At the true ratio they are
equal but not zero, so the sum does not vanish there and has its minimum elsewhere. The square of
their difference (Algorithm 2's loss, squared) does vanish, and is used here; `printed=True` gives
the sum of squares.

**Several behaviour policies.** The paper's π_mix is the unweighted mean of their action
probabilities. In pooled data, an action's frequency in a state is a mean weighted by how often each
policy visits the state. The ω of the equation is therefore off by the product of the policies'
differences in actions and in states. This is a second-order error: 3 to 8 % of E|ω − 1| in random
problems with four behaviour policies as far from each other as the target is from them. The ratio
π̂ / π_m to the policy that acted, in place of ρ, has no such bias but more variance.

Values at the points where f is evaluated come in pairs: at the successors [S] and at the initial
states [S0].
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

from opspo.estimators.products import product
from opspo.types import Array

Pair = tuple[Array, Array]
"""At the successors [S, ...] and at the initial states [S0, ...]"""


def mixture_log_ratio(log_prob: Array, behaviour_log_prob: Array) -> Array:
    """Log of π̂(a|s) / π_mix(a|s), with π_mix the mean over the M behaviour policies.

    Args:
        log_prob: [S] or [S, K] log-probability of the joint action under π̂.
        behaviour_log_prob: [M, S] the same under each behaviour policy.

    Returns:
        An array of the shape of `log_prob`.
    """
    policies = jnp.asarray(behaviour_log_prob.shape[0], behaviour_log_prob.dtype)
    mixture = jax.nn.logsumexp(behaviour_log_prob, axis=0) - jnp.log(policies)
    return log_prob - mixture.reshape(mixture.shape + (1,) * (log_prob.ndim - 1))


def shares(weight: Array) -> Array:
    """Weights [S] scaled to sum 1; all 0 if all weights are."""
    return weight / jnp.maximum(weight.sum(), jnp.finfo(weight.dtype).tiny)


def arrival_masses(weight: Array, continues: Array, initial_weight: Array, *, gamma: float) -> Pair:
    """The behaviour's state distribution, as a distribution over successors and initial states.

    Args:
        weight: [S] w.
        continues: [S] c.
        initial_weight: [S0] w_0, of the initial states.
        gamma: γ.

    Returns:
        γ c w / Σ w [S] and β_1 w_0 / Σ w_0 [S0], which together have sum 1.
    """
    arrival = gamma * continues * shares(weight)
    return arrival, (1 - arrival.sum()) * shares(initial_weight)


def residual_masses(
    omega: Array,
    successor_omega: Array,
    initial_omega: Array,
    ratio: Array,
    weight: Array,
    continues: Array,
    initial_weight: Array,
    *,
    gamma: float,
) -> Pair:
    """The signed measure whose integral of f is the left-hand side of the equation.

    Args:
        omega: [S] ω(s).
        successor_omega: [S] ω(s').
        initial_omega: [S0] ω(s0).
        ratio: [S] ρ.
        weight: [S] w.
        continues: [S] c.
        initial_weight: [S0] w_0.
        gamma: γ.

    Returns:
        Masses at the successors [S] and at the initial states [S0].
    """
    arrival, start = arrival_masses(weight, continues, initial_weight, gamma=gamma)
    moved = shares(weight) * omega * ratio
    restart = 1 - gamma + gamma * (moved * (1 - continues)).sum()
    return (
        arrival * successor_omega - gamma * continues * moved,
        start * initial_omega - restart * shares(initial_weight),
    )


def minimax_objective(mass: Pair, arrival: Pair, test: Pair, *, printed: bool = False) -> Array:
    """The squared residual for one test function, scaled to unit root mean square (erratum E5).

    Args:
        mass: from `residual_masses`.
        arrival: from `arrival_masses`.
        test: the values of f.
        printed: add the squares of the two expectations, as in Eq. 33, instead of squaring their
            sum. That is not zero at the true ratio.

    Returns:
        []. Its maximum over all functions f of the points is the χ² distance of the two sides.
    """
    first, second = product(mass[0], test[0]), product(mass[1], test[1])
    square = product(arrival[0], test[0] ** 2) + product(arrival[1], test[1] ** 2)
    tiny = jnp.finfo(square.dtype).tiny
    # Eq. 33 weights the squares by γ and 1 − γ; the masses already include these factors
    value = (
        first**2 / jnp.maximum(arrival[0].sum(), tiny)
        + second**2 / jnp.maximum(arrival[1].sum(), tiny)
        if printed
        else (first + second) ** 2
    )
    return value / jnp.maximum(square, tiny)


def squared_distances(x: Array) -> Array:
    """‖x_i − x_j‖² of points [B, d]: [B, B]."""
    square = (x**2).sum(axis=-1)
    return jnp.maximum(square[:, None] + square[None, :] - 2 * product(x, x.T), 0)


def kernel_objective(mass: Pair, points: Pair, *, bandwidth: float | Array) -> Array:
    """The largest squared residual over the unit ball of a Gaussian kernel's space.

    Σ_ij m_i k(x_i, x_j) m_j over successors and initial states: the maximum over f in closed form.
    Time and memory are of order (S + S0)², so this is meant for minibatches.

    Args:
        mass: from `residual_masses`.
        points: successors [S, d] and initial states [S0, d].
        bandwidth: h of k(x, y) = exp(−‖x − y‖² / 2 h²).

    Returns:
        [].
    """
    masses, states = jnp.concatenate(mass), jnp.concatenate(points)
    kernel = jnp.exp(-squared_distances(states) / (2 * bandwidth**2))
    return product(product(masses, kernel), masses)


def positive_mean_one(omega: Array, weight: Array, *, floor: float = 1e-3) -> Array:
    """ω [S, ...], bounded below by `floor`, then scaled to mean 1 under the weights [S].

    It is not scaled if all weights are 0.
    """
    omega = jnp.maximum(omega, floor)
    mean = jnp.tensordot(shares(weight), omega, axes=1, precision=lax.Precision.HIGHEST)
    return omega / jnp.where(mean > 0, mean, 1)[None]
