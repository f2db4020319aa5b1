"""Layer norm and its own gradient against Flax's."""

import flax.linen as nn
import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opspo.policies.layer_norm import layer_norm


def flax_norm(x):
    return nn.LayerNorm(use_scale=False, use_bias=False).apply({}, x)


@pytest.mark.lenient_dtypes
@given(
    seed=st.integers(0, 2**31 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 70)),
    shift=st.floats(-10, 10),
    scale=st.floats(0.01, 100),
)
def test_it_is_flaxs_without_parameters(seed, shape, shift, scale):
    keys = jax.random.split(jax.random.PRNGKey(seed), 2)
    x = shift + scale * jax.random.normal(keys[0], shape)
    error = jax.random.normal(keys[1], shape)
    (found, pull), (expected, expected_pull) = jax.vjp(layer_norm, x), jax.vjp(flax_norm, x)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)
    if shape[-1] > 1:  # of one feature all is rounding
        gradient, target = pull(error)[0], expected_pull(error)[0]
        np.testing.assert_allclose(gradient, target, rtol=1e-6, atol=1e-8 / scale)


def test_features_that_are_all_the_same_become_zero_and_pass_no_fault_on():
    x = np.full((2, 3, 8), 5.0)
    found, pull = jax.vjp(layer_norm, x)
    np.testing.assert_allclose(found, 0, atol=1e-9)
    assert np.isfinite(pull(np.ones_like(x))[0]).all()
