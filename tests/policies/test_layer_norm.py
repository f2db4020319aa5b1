"""Layer norm and its own gradient against Flax's."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opspo.policies.layer_norm import layer_norm


def flax_norm(x):
    return nn.LayerNorm(use_scale=False, use_bias=False).apply({}, x)


@partial(jax.jit, static_argnums=0)
def with_gradient(norm, x, error):
    found, pull = jax.vjp(norm, x)
    return found, pull(error)[0]


@pytest.mark.lenient_dtypes
@given(
    seed=st.integers(0, 2**31 - 1),
    shape=st.sampled_from([(2, 3, 1), (1, 4, 2), (3, 1, 7), (2, 2, 64)]),
    shift=st.floats(-10, 10),
    scale=st.floats(0.01, 100),
)
def test_it_is_flaxs_without_parameters(seed, shape, shift, scale):
    keys = jax.random.split(jax.random.PRNGKey(seed), 2)
    x = shift + scale * jax.random.normal(keys[0], shape)
    error = jax.random.normal(keys[1], shape)
    found, gradient = with_gradient(layer_norm, x, error)
    expected, target = with_gradient(flax_norm, x, error)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)
    if shape[-1] > 1:  # of one feature all is rounding
        np.testing.assert_allclose(gradient, target, rtol=1e-6, atol=1e-8 / scale)


@pytest.mark.lenient_dtypes
@pytest.mark.parametrize("shift", [0.0, 3.0, 2000.0, 1e5])
def test_an_offset_in_32_bits_costs_no_more_than_the_digits_of_the_input(shift):
    """Flax's mean square less the squared mean is off by 300 at 2,000."""
    x = jax.random.normal(jax.random.PRNGKey(0), (4, 5, 7), jnp.float32)
    shifted = (x + jnp.float32(shift)).astype(jnp.float32)
    exact = np.asarray(shifted, np.float64)
    exact = (exact - exact.mean(-1, keepdims=True)) / np.sqrt(exact.var(-1, keepdims=True) + 1e-6)
    error = np.abs(layer_norm(shifted) - exact).max()
    assert error < 1e-6 + 4 * shift * np.finfo(np.float32).eps
    if shift == 2000:
        assert np.abs(flax_norm(shifted) - exact).max() > 300


def test_rows_of_one_value_in_32_bits_are_finite():
    """Rounding makes the variance of some of them negative."""
    values = jnp.linspace(1.0, 1000.1, 4000, dtype=jnp.float32)
    x = jnp.broadcast_to(values[None, :, None], (1, 4000, 7))
    squares = jnp.mean(x * x, axis=-1) - jnp.square(jnp.mean(x, axis=-1))
    assert (squares < 0).any()
    found, pull = jax.vjp(layer_norm, x)
    assert jnp.isfinite(found).all() and jnp.isfinite(pull(jnp.ones_like(x))[0]).all()


def test_features_that_are_all_the_same_become_zero_and_pass_no_fault_on():
    x = np.full((2, 3, 8), 5.0)
    found, pull = jax.vjp(layer_norm, x)
    np.testing.assert_allclose(found, 0, atol=1e-9)
    assert np.isfinite(pull(np.ones_like(x))[0]).all()
