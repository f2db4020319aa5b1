"""The surrogates: what each algorithm believes the update brings, and how wrong it is.

All are J plus sums of one term, `gain`. Single-agent surrogates give [n], joint ones []; each is
followed by its error, since that is what the bounds of `bounds` are for.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from opspo.theory import tabular
from opspo.theory.estimates import Estimate, of_the_data
from opspo.theory.sequence import Sequence
from opspo.theory.tabular import Scalar
from opspo.types import Array


def gain(distribution: Array, policy: Array, advantage: Array, *, gamma: Scalar) -> Array:
    """E_{s∼d, a∼π}[A(s, a)] / (1 − γ).

    Args:
        distribution: [..., S].
        policy: joint, [..., S, X]; or a difference of two.
        advantage: [..., S, X].
        gamma: γ.

    Returns:
        [...]
    """
    return jnp.einsum("...s,...sx,...sx->...", distribution, policy, advantage) / (1 - gamma)


def corrected_gain(sequence: Sequence, estimate: Estimate, *, gamma: Scalar) -> Array:
    """What Eq. 10 adds to J(π̂^{i−1}), with the estimates of d and A: [n]."""
    return gain(estimate.distribution, sequence.joint[1:], estimate.advantage, gamma=gamma)


def centred_gain(sequence: Sequence, estimate: Estimate, *, gamma: Scalar) -> Array:
    """`corrected_gain` less what it is where agent i stays as it is: [n].

    What is taken away does not depend on π̄^i, so the maximiser is the same; but the error is 0 for
    an agent that stays, and of the order of its step where it moves.
    """
    step = sequence.joint[1:] - sequence.joint[:-1]
    return gain(estimate.distribution, step, estimate.advantage, gamma=gamma)


def errors(sequence: Sequence, gains: Array) -> Array:
    """|J(π̂^i) − J(π̂^{i−1}) − gain^i| of single-agent surrogates: [n]."""
    return jnp.abs(jnp.diff(sequence.performance) - gains)


def joint_error(sequence: Sequence, gains: Array) -> Array:
    """|J(π̄) − J(π) − Σ_i gain^i| of a joint surrogate: []."""
    return jnp.abs(sequence.performance[-1] - sequence.performance[0] - gains.sum())


def mappo_gain(sequence: Sequence, *, gamma: Scalar) -> Array:
    """Each agent's gain as if it alone moved, on the data and advantage of π: [n]."""
    agents = len(sequence.old)
    alone = jnp.eye(agents, dtype=bool)[..., None, None]
    joint = jax.vmap(tabular.joint_policy)(jnp.where(alone, sequence.new[None], sequence.old[None]))
    data = of_the_data(sequence)
    return gain(data.distribution, joint, data.advantage, gamma=gamma)


def happo_gain(sequence: Sequence, *, gamma: Scalar) -> Array:
    """What agent i adds given those before it, on the data and advantage of π: [n].

    The sum telescopes to E_{d^π, π̄}[A^π] / (1 − γ), CoPPO's joint gain.
    """
    return centred_gain(sequence, of_the_data(sequence), gamma=gamma)


def a2po_gain(sequence: Sequence, estimate: Estimate, *, gamma: Scalar) -> Array:
    """Corrected advantage, on the states of π: [n]."""
    data = of_the_data(sequence)
    return gain(data.distribution, sequence.joint[1:], estimate.advantage, gamma=gamma)
