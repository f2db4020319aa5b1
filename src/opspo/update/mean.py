"""The gradient of a mean over samples that may be divided over devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, PartitionSpec

from opspo.types import Array, Params


@struct.dataclass
class Sums:
    """Sums over the samples, besides the loss."""

    metrics: dict[str, Array]
    """[] each"""
    count: Array
    """[K] number of samples of each member, in the dtype of the loss"""


class Means(NamedTuple):
    """The gradient of the mean loss, and the means of the metrics, [] each."""

    gradient: Params
    metrics: dict[str, Array]


Loss = Callable[[Params, Any, Array], tuple[Array, Sums]]
"""(parameters, sequences [L, C, ...], memory [C, ...]) → sum of the samples' losses, and `Sums`"""


def sums(values: dict[str, Array], mask: Array) -> Sums:
    """Sums of values [L, C, K] over the samples in the mask [L, C, K]."""
    dtype = next(iter(values.values())).dtype
    return Sums(
        metrics={name: jnp.where(mask, value, 0).sum() for name, value in values.items()},
        count=mask.sum((0, 1)).astype(dtype),
    )


def mean_gradient(
    loss: Loss,
    params: Params,
    sequences: Any,
    memory: Array,
    *,
    shared: bool,
    mesh: Mesh | None = None,
) -> Means:
    """Gradient of the mean loss, and means of the metrics measured with it.

    Members with separate parameters (leading axis K) are averaged separately, so a member's
    gradient does not depend on how many are updated together. The gradient of a member without
    samples is 0.

    Args:
        loss: see `Loss`.
        params: shared, or of K members.
        sequences: pytree of [L, C, ...].
        memory: [C, ...] the recurrent state at the start of each sequence.
        shared: whether all members have the same parameters.
        mesh: the devices over which C is divided, if any.
    """
    added_up = _over_devices(jax.grad(loss, has_aux=True), mesh)
    gradient, found = added_up(params, sequences, memory)
    each, every = jnp.maximum(found.count, 1), jnp.maximum(found.count.sum(), 1)

    def mean(gradient: Array) -> Array:
        count = every if shared else each.reshape(-1, *(1,) * (gradient.ndim - 1))
        return gradient / count.astype(gradient.dtype)

    metrics = {name: value / every for name, value in found.metrics.items()}
    return Means(jax.tree.map(mean, gradient), metrics)


def _over_devices(function: Callable[..., Any], mesh: Mesh | None) -> Callable[..., Any]:
    """Compute a function whose results are sums over samples on each device's share.

    All results are added up in one message. The compiler would send one per array, and devices wait
    for each other at every message: 50 µs on a CPU, a third of a gradient step of small networks.
    """
    if mesh is None:
        return function
    (axis,) = mesh.axis_names

    def of_one_device(*arguments: Any) -> Any:
        flat, restore = ravel_pytree(function(*arguments))
        return restore(jax.lax.psum(flat, axis))

    return jax.shard_map(
        of_one_device,
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec(None, axis), PartitionSpec(axis)),
        out_specs=PartitionSpec(),
        check_vma=False,  # otherwise gradients of replicated parameters are summed one by one
    )
