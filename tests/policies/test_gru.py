"""The unit's own gradients against those that JAX finds for the plain loop."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opspo.policies.gru import Gates, gru


def loop(inputs, kernels, bias, memory, first):
    out = []
    for t in range(first.shape[0]):
        h = jnp.where(first[t][:, None], 0.0, memory)
        reset = jax.nn.sigmoid(inputs.reset[t] + h @ kernels.reset)
        update = jax.nn.sigmoid(inputs.update[t] + h @ kernels.update)
        new = jnp.tanh(inputs.new[t] + reset * (h @ kernels.new + bias[None]))
        memory = (1 - update) * new + update * h
        out.append(memory)
    return jnp.stack(out)


def example(length, batch, size, seed):
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape))

    inputs = Gates(*(normal(length, batch, size) for _ in range(3)))
    kernels = Gates(*(normal(size, size) for _ in range(3)))
    first = jnp.asarray(rng.random((length, batch)) < 0.3)
    return (inputs, kernels, normal(size), normal(batch, size)), first, normal(length, batch, size)


@partial(jax.jit, static_argnums=0)
def gradients(unit, arguments, first, error):
    return jax.grad(lambda a: (unit(*a, first) * error).sum())(arguments)


def assert_close(got, expected):
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-11)


@given(
    st.sampled_from([(1, 1, 1), (1, 3, 2), (2, 1, 5), (4, 4, 1), (6, 2, 3), (5, 3, 4)]),
    st.integers(0, 1000),
)
def test_states_and_gradients_are_those_of_the_loop(shape, seed):
    arguments, first, error = example(*shape, seed)
    assert_close(jax.jit(gru)(*arguments, first), jax.jit(loop)(*arguments, first))
    assert_close(gradients(gru, arguments, first, error), gradients(loop, arguments, first, error))


def test_members_side_by_side_have_the_gradients_that_each_has_alone():
    cases = [example(5, 3, 4, seed) for seed in range(3)]
    side_by_side = jax.tree.map(lambda *x: jnp.stack(x), *cases)
    got = jax.vmap(lambda *case: gradients(gru, *case))(*side_by_side)
    for i, case in enumerate(cases):
        assert_close(jax.tree.map(lambda x, i=i: x[i], got), gradients(loop, *case))


@pytest.mark.parametrize("begins", [True, False])
def test_no_error_flows_past_the_beginning_of_an_episode(begins):
    arguments, first, error = example(3, 2, 4, 0)
    first = jnp.zeros_like(first).at[0].set(begins)
    memory = gradients(gru, arguments, first, error)[3]
    assert bool((memory == 0).all()) == begins
