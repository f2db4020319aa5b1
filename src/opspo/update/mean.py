"""The gradient of a mean over samples, which may be divided over devices."""

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
    """What is added up over the samples besides the loss."""

    metrics: dict[str, Array]
    """[] each"""
    count: Array
    """[K] samples of each member, in the dtype of the loss"""


class Means(NamedTuple):
    """Of a loss over the samples."""

    gradient: Params
    metrics: dict[str, Array]


Loss = Callable[[Params, Any, Array], tuple[Array, Sums]]
"""(parameters, sequences [L, C, ...], memory [C, ...]) → sum of the samples' losses, and `Sums`"""


def sums(values: dict[str, Array], mask: Array) -> Sums:
    """Of values [L, C, K] where the mask [L, C, K] holds."""
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
    """Gradient of the mean loss, and the means of what was measured with it.

    Members with parameters of their own (leading axis K) are each averaged alone, so that none's
    gradient depends on how many are updated with it. Where a member has no samples its gradient
    is 0.

    Args:
        loss: see `Loss`.
        params: shared, or of K members.
        sequences: pytree of [L, C, ...].
        memory: [C, ...].
        shared: whether all members have the same parameters.
        mesh: of the devices over which C is divided, if it is.
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
    """A function of samples whose results are sums over them, each device's share on its own.

    All the results are added up in one message. Left to the compiler each array would be one, for
    which devices wait for each other: 50 µs on a CPU, a third of a gradient step of small networks.
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
        check_vma=False,  # else gradients of what all devices have are added up one by one
    )
