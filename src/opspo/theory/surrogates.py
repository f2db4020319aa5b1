"""The surrogates: the improvement that each algorithm predicts for an update, and their errors.

All surrogates are J plus sums of one term, `gain`, given here for each agent, [n]. `bounds` bounds
their errors, which are [n] for single agents and [] for the team.
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
        distribution: [..., S] d.
        policy: [..., S, X] the joint policy, or a difference of two.
        advantage: [..., S, X] A.
        gamma: γ.

    Returns:
        [...]
    """
    return jnp.einsum("...s,...sx,...sx->...", distribution, policy, advantage) / (1 - gamma)


def corrected_gain(sequence: Sequence, estimate: Estimate, *, gamma: Scalar) -> Array:
    """The term that Eq. 10 adds to J(π̂^{i−1}), with the estimates of d and A: [n]."""
    return gain(estimate.distribution, sequence.joint[1:], estimate.advantage, gamma=gamma)


def centred_gain(sequence: Sequence, estimate: Estimate, *, gamma: Scalar) -> Array:
    """`corrected_gain` minus its value if agent i does not change: [n].

    The subtracted term does not depend on π̄^i, so the maximiser is the same. But the error is 0 for
    an agent that does not change, and otherwise of the order of its step.
    """
    step = sequence.joint[1:] - sequence.joint[:-1]
    return gain(estimate.distribution, step, estimate.advantage, gamma=gamma)


def errors(sequence: Sequence, gains: Array) -> Array:
    """Errors |J(π̂^i) − J(π̂^{i−1}) − gain^i| of single-agent surrogates: [n], of gains [n]."""
    return jnp.abs(jnp.diff(sequence.performance) - gains)


def joint_error(sequence: Sequence, gains: Array) -> Array:
    """Error |J(π̄) − J(π) − Σ_i gain^i| of a joint surrogate: [], of gains [n]."""
    return jnp.abs(sequence.performance[-1] - sequence.performance[0] - gains.sum())


def mappo_gain(sequence: Sequence, *, gamma: Scalar) -> Array:
    """Each agent's gain as if only it moved, on the data and advantage of π: [n]."""
    agents = len(sequence.old)
    alone = jnp.eye(agents, dtype=bool)[..., None, None]
    joint = jax.vmap(tabular.joint_policy)(jnp.where(alone, sequence.new[None], sequence.old[None]))
    data = of_the_data(sequence)
    return gain(data.distribution, joint, data.advantage, gamma=gamma)


def happo_gain(sequence: Sequence, *, gamma: Scalar) -> Array:
    """The gain that agent i adds to the preceding ones', on the data and advantage of π: [n].

    The sum telescopes to E_{d^π, π̄}[A^π] / (1 − γ), CoPPO's joint gain.
    """
    return centred_gain(sequence, of_the_data(sequence), gamma=gamma)


def a2po_gain(sequence: Sequence, estimate: Estimate, *, gamma: Scalar) -> Array:
    """The gain with the corrected advantage, on the states of π: [n]."""
    data = of_the_data(sequence)
    return gain(data.distribution, sequence.joint[1:], estimate.advantage, gamma=gamma)
