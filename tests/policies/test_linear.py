"""The linear layer's own gradients against those that JAX makes of the formula."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from opspo.policies.dense import Dense, linear


def plain(x, kernel, bias):
    return jnp.einsum("lbi,io->lbo", x, kernel) + bias[None, None, :]


@pytest.mark.parametrize("shape", [(1, 7, 3, 5), (4, 6, 5, 1), (3, 1, 1, 4)])
def test_gradients_are_those_of_the_formula(shape):
    length, batch, inputs, outputs = shape
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    x, kernel, bias, error = (
        jax.random.normal(key, size)
        for key, size in zip(
            keys,
            [(length, batch, inputs), (inputs, outputs), (outputs,), (length, batch, outputs)],
            strict=True,
        )
    )
    found, expected = (jax.vjp(f, x, kernel, bias) for f in (linear, plain))
    for ours, theirs in zip(
        (found[0], *found[1](error)), (expected[0], *expected[1](error)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_layer_starts_as_flax_has_it():
    init = nn.initializers.orthogonal(2.0)
    x = jnp.ones((2, 3, 4), jnp.float32)
    ours = Dense(5, kernel_init=init).init(jax.random.PRNGKey(1), x)
    theirs = nn.Dense(5, kernel_init=init).init(jax.random.PRNGKey(1), x)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@pytest.mark.lenient_dtypes
def test_gradients_of_narrower_parameters_are_as_narrow():
    x = jnp.ones((2, 3, 4))
    kernel, bias = jnp.ones((4, 5), jnp.float32), jnp.zeros(5, jnp.float32)
    found, expected = (
        jax.grad(lambda *given, f=f: f(*given).sum(), argnums=(0, 1, 2))(x, kernel, bias)
        for f in (linear, plain)
    )
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
