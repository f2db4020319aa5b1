"""The study of how cost grows measures what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from opspo.estimators.advantages import trace
from opspo.estimators.traces import td_error
from opspo.training.assembly import make_learner


def test_the_matrix_is_the_same_trace(growth):
    rng = np.random.default_rng(0)
    reward, value, following = (jnp.asarray(rng.normal(size=(40, 3)), "float32") for _ in range(3))
    log_ratio = jnp.asarray(0.3 * rng.normal(size=(40, 3)), "float32")
    numbers = {"gamma": 0.99, "gae_lambda": 0.9}
    never = jnp.zeros((40, 3), bool)
    ours = trace(reward, value, following, never, log_ratio, **numbers)
    delta = td_error(reward, value, following, gamma=0.99)
    theirs = growth.trace_by_matrix(delta, log_ratio, **numbers)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_exponents_are_those_of_the_upper_half(growth):
    x = [1, 2, 4, 8, 16, 32]
    assert growth.exponent(x, [3 * v**1.5 for v in x]) == pytest.approx(1.5)
    assert growth.exponent(x, [9, 9, 9, 64, 256, 1024]) == pytest.approx(2)


@pytest.mark.parametrize("axis", ["agents", "horizon", "environments", "epochs"])
def test_an_axis_changes_one_size_alone(growth, axis):
    def shapes(sizes):
        environment = growth.team_of(sizes["agents"])
        learner = make_learner(growth.configure(sizes, shared=False), environment)
        state = jax.eval_shape(learner.init, 0)
        seen = jax.eval_shape(learner.collect, state, state.key)[1].observation.shape
        epochs = learner.config.algorithm.epochs
        return dict(zip(("horizon", "environments", "agents"), seen, strict=False)) | {
            "epochs": epochs,
            "features": seen[3],
        }

    base = growth.BASE
    assert shapes(base | {axis: 20}) == shapes(base) | {axis: 20}
