"""The devices that a run computes on, and how its arrays are placed on them."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from opspo.config import Processes
from opspo.errors import ConfigError
from opspo.types import TrainState

AXIS = "devices"
"""Name of the only axis of the device mesh."""
WITHOUT_YNNPACK = {"xla_cpu_experimental_ynn_fusion_type": ""}


def claim(count: int, processes: Processes | None = None) -> None:
    """Make sure that JAX has `count` devices; a CPU can be split into any number.

    Call this before any other use of JAX, which counts its devices only once. With `processes` it
    waits for the other processes; `count` is then for all of them, and each provides an equal part.

    Raises:
        ConfigError: there are fewer devices, or `count` is not a multiple of the processes.
    """
    parts = processes.count if processes else 1
    if count % parts:
        raise ConfigError(f"devices must be a multiple of the {parts} processes, but is {count}.")
    if processes:
        # it would handle SIGTERM in our place
        jax.config.update("jax_enable_preemption_service", False)
        jax.distributed.initialize(
            processes.coordinator,
            processes.count,
            processes.index,
            cluster_detection_method="deactivate",
        )
    elif count == 1:
        return
    try:
        jax.config.update("jax_num_cpu_devices", count // parts)
        late = ""
    except RuntimeError:  # JAX has already counted
        late = (
            " JAX was in use before this call, so CPU devices can no longer be added: call this "
            "first, or set XLA_FLAGS=--xla_force_host_platform_device_count="
            f"{count} before Python starts."
        )
    found = jax.devices()
    if len(found) < count:
        late = late if found[0].platform == "cpu" else ""
        raise ConfigError(
            f"devices must be at most the {len(found)} that JAX has here ({found[0].platform}), "
            f"but is {count}.{late}"
        )


def keep_programs() -> None:
    """Cache compiled programs in the user's cache folder, for later processes.

    JAX_COMPILATION_CACHE_DIR selects another folder.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(caches) / "opspo"))


def compiler_options() -> dict[str, str]:
    """Compiler options for `jax.jit`.

    On a CPU, XLA passes matrix products and sums to a library (YNNPACK) that is slower for
    thousands of rows or 128 columns and hardly faster for narrow recurrent products, so it is
    turned off; benchmarks/notes.md has the figures. A jaxlib without this option gets none.
    """
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(lambda: 0, compiler_options=WITHOUT_YNNPACK).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return WITHOUT_YNNPACK


@dataclass(frozen=True)
class Layout:
    """Environments are divided over devices in equal parts; everything else is on every device.

    The program is the same as for one device: the compiler divides it as its arrays are divided.
    Only the gradients are explicitly summed over devices, by `update.mean`.
    """

    mesh: Mesh

    @property
    def everywhere(self) -> NamedSharding:
        """The placement of arrays that every device holds."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def divided(self) -> NamedSharding:
        """The placement of arrays [E, ...]."""
        return NamedSharding(self.mesh, PartitionSpec(AXIS))

    @property
    def trajectory(self) -> NamedSharding:
        """The placement of arrays [T, E, ...]."""
        return NamedSharding(self.mesh, PartitionSpec(None, AXIS))

    @property
    def state(self) -> TrainState:
        """The placement of each part of a `TrainState`, as a prefix of its tree."""
        places: dict[str, Any] = dict.fromkeys(
            (field.name for field in dataclasses.fields(TrainState)), self.everywhere
        )
        return TrainState(**places | {"rollout": self.divided, "critic_memory": self.divided})


def layout(count: int) -> Layout:
    """The layout over the first `count` devices; several processes have equal parts of them."""
    processes = jax.process_count()
    each = [jax.local_devices(process_index=i)[: count // processes] for i in range(processes)]
    return Layout(Mesh(np.concatenate(each), (AXIS,)))


def on_host(tree: Any) -> Any:
    """All arrays as NumPy, including what other processes hold; every process must call this."""
    if jax.process_count() > 1:
        tree = process_allgather(tree, tiled=True)
    return jax.device_get(tree)


def all_agree(here: bool) -> bool:
    """Whether `here` is true in every process; every process must call this."""
    if jax.process_count() == 1:
        return here
    return bool(process_allgather(np.array(here)).all())
