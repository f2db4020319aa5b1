"""No product of the mathematics is left at a device's own precision, which on a GPU is ten bits.

A CPU computes in full in any case, so the programs are read instead.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax import Precision

from opspo.estimators import density_ratio, linear_weight, normalise, ratio_scopes
from opspo.estimators.products import product
from opspo.policies.layer_norm import layer_norm

S, D, K = 6, 3, 2
RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=(S, D)) for _ in range(2))
ONES, FEW = np.ones(S), (np.ones(S), np.ones(S))

PROGRAMS = {
    "merge_moments": (
        normalise.merge_moments, np.zeros(D), np.ones(D), np.array(0.0), X, np.ones(S, bool),
    ),
    "layer_norm": (layer_norm, X),
    "preceding_log_ratio": (
        ratio_scopes.preceding, X, np.arange(D), np.array([2, 0, 1]),
    ),
    "minimax_objective": (density_ratio.minimax_objective, FEW, FEW, FEW),
    "kernel_objective": (
        partial(density_ratio.kernel_objective, bandwidth=1.0), FEW, (X, Y),
    ),
    "positive_mean_one": (density_ratio.positive_mean_one, np.abs(X), ONES),
    "linear_equation": (
        partial(linear_weight.linear_equation, gamma=0.9), X, Y, ONES, ONES, X, ONES,
    ),
    "solve_equation": (
        lambda x, y: linear_weight.solve_equation(
            linear_weight.linear_equation(x, y, ONES, ONES, gamma=1.0), jnp.ones((S, K)), ridge=0.1
        ), X, Y,
    ),
    "linear_omega": (linear_weight.linear_omega, X, np.ones((D + 1, K))),
    "fourier_features": (linear_weight.fourier_features, X, np.ones((D, 4)), np.ones(4)),
}  # fmt: skip


def precisions(program):
    """Of every product in it, however deep."""
    found = []
    for equation in program.eqns:
        if equation.primitive.name == "dot_general":
            found.append(equation.params["precision"])
        for part in jax.tree.leaves(tuple(equation.params.values())):
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns"):
                found += precisions(inner)
    return found


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_product_has_all_bits(name):
    function, *arguments = PROGRAMS[name]
    found = precisions(jax.make_jaxpr(function)(*arguments).jaxpr)
    assert found
    assert set(found) == {(Precision.HIGHEST, Precision.HIGHEST)}


def test_gradients_have_them_too():
    objective = lambda omega: density_ratio.minimax_objective((omega, ONES), FEW, FEW)  # noqa: E731
    found = precisions(jax.make_jaxpr(jax.grad(objective))(ONES).jaxpr)
    assert set(found) == {(Precision.HIGHEST, Precision.HIGHEST)}


def test_a_product_is_that_of_the_operator():
    for a, b in ((X, Y.T), (ONES, X), (X.T, ONES), (ONES, ONES)):
        np.testing.assert_allclose(product(a, b), a @ b, rtol=1e-14, atol=1e-14)
