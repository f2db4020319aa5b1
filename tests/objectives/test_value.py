"""The critic's loss against a loop."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opspo.objectives.value import clipped_value_loss

loss_of = jax.jit(clipped_value_loss, static_argnames=("clip", "huber_delta"))


def huber(error, delta):
    if abs(error) <= delta:
        return error**2 / 2
    return delta * (abs(error) - delta / 2)


def expected_loss(value, old, target, clip, delta):
    plain = huber(value - target, delta)
    if clip == 0:
        return plain
    near = min(max(value, old - clip), old + clip)
    return max(plain, huber(near - target, delta))


numbers = pytest.mark.parametrize(
    ("clip", "huber_delta"), [(0.0, 10.0), (0.2, 10.0), (0.2, 0.5), (1.0, 1.0)]
)


@numbers
@given(seed=st.integers(0, 2**31), spread=st.sampled_from([0.1, 1.0, 30.0]))
def test_loss_is_the_loop(clip, huber_delta, seed, spread):
    value, old, target = spread * np.random.default_rng(seed).normal(size=(3, 15))
    got = loss_of(value, old, target, clip=clip, huber_delta=huber_delta)
    expected = [
        expected_loss(*sample, clip, huber_delta) for sample in zip(value, old, target, strict=True)
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-14)


@numbers
def test_targets_of_several_agents_share_one_prediction(clip, huber_delta):
    rng = np.random.default_rng(0)
    value, old = rng.normal(size=(2, 4, 1))
    target = rng.normal(size=(4, 3))
    got = loss_of(value, old, target, clip=clip, huber_delta=huber_delta)
    assert got.shape == (4, 3)
    for row, agent in np.ndindex(4, 3):
        expected = expected_loss(value[row, 0], old[row, 0], target[row, agent], clip, huber_delta)
        np.testing.assert_allclose(got[row, agent], expected, rtol=1e-10)


@pytest.mark.parametrize(
    ("value", "slope"),
    [
        (0.1, 0.1 - 5),  # inside the clip, as the plain loss
        (0.9, 0.0),  # left the clip towards the target: held
        (-0.9, -0.9 - 5),  # left it away from the target: still pulled back
    ],
)
def test_clip_holds_back_only_moves_towards_the_target(value, slope):
    got = jax.grad(lambda v: clipped_value_loss(v, 0.0, 5.0, clip=0.2, huber_delta=10.0))(value)
    np.testing.assert_allclose(got, slope, atol=1e-12)


def test_slope_is_bounded_by_huber_delta():
    got = jax.grad(lambda v: clipped_value_loss(v, 0.0, 0.0, clip=0.0, huber_delta=10.0))(1e6)
    np.testing.assert_allclose(got, 10)
