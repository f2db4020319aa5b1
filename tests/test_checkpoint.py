"""Reading checkpoints that earlier versions wrote, and refusing what does not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from opspo.checkpoint import Checkpoints
from opspo.errors import RunError
from opspo.estimators.normalise import fresh_statistics, mean_and_deviation, update_statistics

TARGETS = np.random.default_rng(0).normal(3, 2, (4, 10)).astype(np.float32)


def written(folder, flat):
    """A checkpoint of some arrays by their paths."""
    options = ocp.CheckpointManagerOptions(create=True, enable_async_checkpointing=False)
    manager = ocp.CheckpointManager(folder, options=options)
    manager.save(1, args=ocp.args.StandardSave(flat), force=True)
    manager.close()
    return Checkpoints(folder)


def test_value_statistics_by_raw_moments_go_on_as_today(tmp_path):
    """As written before moments were kept about the mean."""
    mean = square = weight = np.float32(0)
    expected = fresh_statistics()
    for target in TARGETS:
        mean = np.float32(0.9 * mean + 0.1 * target.mean())
        square = np.float32(0.9 * square + 0.1 * (target**2).mean())
        weight = np.float32(0.9 * weight + 0.1)
        expected = update_statistics(expected, target, decay=0.9)
    names = ("mean", "mean_square", "weight")
    old = {f"value_statistics.{n}": x for n, x in zip(names, (mean, square, weight), strict=True)}
    store = written(tmp_path / "old", old | {"key": np.array([1, 2], np.uint32)})
    template = {"value_statistics": fresh_statistics(), "key": jnp.zeros(2, jnp.uint32)}
    state = store.restore(1, jax.eval_shape(lambda: template))
    np.testing.assert_allclose(
        mean_and_deviation(state["value_statistics"]), mean_and_deviation(expected), rtol=1e-5
    )
    np.testing.assert_allclose(state["value_statistics"].weight, expected.weight, rtol=1e-6)
    assert state["key"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("saved", "said"), [({"a": 1, "b": 2}, "b is not expected"), ({"b": 2}, "a is missing")]
)
def test_other_arrays_than_expected_are_named(tmp_path, saved, said):
    flat = {name: np.full(2, value, np.float32) for name, value in saved.items()}
    store = written(tmp_path / "other", flat)
    with pytest.raises(RunError, match=said):
        store.restore(1, {"a": jnp.zeros(2)})
