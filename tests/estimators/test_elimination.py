"""Linear systems by elimination against LAPACK's; and many of them in one program."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opspo.estimators.elimination import solve as plain

solve = jax.jit(plain)


@given(
    seed=st.integers(0, 2**31),
    states=st.sampled_from([1, 2, 5, 9]),
    gamma=st.one_of(st.sampled_from([0.0, 0.999]), st.floats(0, 0.999)),
    certain=st.booleans(),
)
def test_solve_is_that_of_lapack(seed, states, gamma, certain):
    """For values (dominant by rows) and for distributions (by columns)."""
    rng = np.random.default_rng(seed)
    chain = rng.dirichlet(np.full(states, 0.3), size=states)
    if certain:
        chain = np.eye(states)[rng.integers(states, size=states)]
    right = rng.normal(size=states)
    for matrix in (np.eye(states) - gamma * chain, np.eye(states) - gamma * chain.T):
        got = solve(matrix, right)
        expected = np.linalg.solve(matrix, right)
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


@given(
    seed=st.integers(0, 2**31),
    size=st.sampled_from([1, 2, 7, 30]),
    columns=st.sampled_from([None, 1, 3]),
    ridge=st.sampled_from([1e-6, 1e-2]),
)
def test_positive_definite_systems_need_no_pivots(seed, size, columns, ridge):
    rng = np.random.default_rng(seed)
    seen = rng.normal(size=(40, size)) * 10.0 ** rng.uniform(-2, 2, size)
    matrix = seen.T @ seen
    matrix += ridge * np.trace(matrix) * np.eye(size)
    right = rng.normal(size=size if columns is None else (size, columns))
    got = solve(matrix, right)
    np.testing.assert_allclose(matrix @ got, right, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(got, np.linalg.solve(matrix, right), rtol=1e-6, atol=1e-10)


SIDE_BY_SIDE = """
import jax, jax.numpy as jnp
from opspo.estimators.baselines import linear_crossfit
from opspo.estimators.linear_weight import linear_equation, solve_equation

key = jax.random.PRNGKey(0)
x = jax.random.normal(key, (3200, 64))
y = jax.random.normal(key, (16, 3200, 8))

@jax.jit
def baselines(x, y):
    shape = (100, 32, 8)
    features, alive = x.reshape(100, 32, 1, -1), jnp.ones(shape, bool)
    return [
        linear_crossfit(each.reshape(shape), features, 0.1 * each.reshape(shape), alive,
                        baseline_ridge=1e-3)
        for each in y
    ]

@jax.jit
def weights(x, y):
    found, one = [], jnp.ones(len(x))
    for each in y:
        now, after = x + each[:, :1], jnp.roll(x, 1, 0) + each[:, :1]
        equation = linear_equation(now, after, one, one, x[:100], gamma=0.99)
        found.append(solve_equation(equation, jnp.exp(0.1 * each), ridge=1e-3))
    return found

for i in range(3):
    jax.block_until_ready((baselines(x + i, y), weights(x + i, y)))
print("done")
"""


@pytest.mark.slow
def test_many_in_one_program_do_not_wait_for_each_other():
    """With LAPACK they deadlocked: two baselines, or sixteen weights."""
    found = subprocess.run(
        [sys.executable, "-c", SIDE_BY_SIDE],
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert found.stdout.strip() == "done", found.stderr
