"""Which devices a run computes on, and which of its arrays are where."""

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
"""Name of their only axis."""
WITHOUT_YNNPACK = {"xla_cpu_experimental_ynn_fusion_type": ""}


def claim(count: int, processes: Processes | None = None) -> None:
    """Have that many devices; a CPU is taken for as many as are asked for.

    This comes before anything else in JAX, which counts its devices once. With `processes` it waits
    for the other processes, and the devices are those of all of them: each brings an equal part.

    Raises:
        ConfigError: there are fewer, or they are not a multiple of the processes.
    """
    parts = processes.count if processes else 1
    if count % parts:
        raise ConfigError(f"devices must be a multiple of the {parts} processes, but is {count}.")
    if processes:
        # it would take SIGTERM from us
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
    except RuntimeError:  # JAX has counted
        late = (
            " JAX was in use before, when one more CPU device could no longer be had: call this "
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
    """Keep what is compiled in a folder of the user's, for the next process that needs the same.

    JAX_COMPILATION_CACHE_DIR names another.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(caches) / "opspo"))


def compiler_options() -> dict[str, str]:
    """What the compiler should know, for `jax.jit`.

    On a CPU, XLA hands matrix products and sums to a library (YNNPACK) that is slower for thousands
    of rows or 128 columns, and hardly faster for narrow recurrent products:
    benchmarks/notes.md has the figures. Nothing is asked of a jaxlib that does not know the option.
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
    """The environments divided over devices in equal parts, all else on every device.

    The program is the one for a single device, which the compiler divides as its arrays are; the
    gradients alone are added up over the devices by `update.mean`.
    """

    mesh: Mesh

    @property
    def everywhere(self) -> NamedSharding:
        """Of what every device holds."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def divided(self) -> NamedSharding:
        """Of arrays [E, ...]."""
        return NamedSharding(self.mesh, PartitionSpec(AXIS))

    @property
    def trajectory(self) -> NamedSharding:
        """Of arrays [T, E, ...]."""
        return NamedSharding(self.mesh, PartitionSpec(None, AXIS))

    @property
    def state(self) -> TrainState:
        """Of each part of a state; a prefix of its tree."""
        places: dict[str, Any] = dict.fromkeys(
            (field.name for field in dataclasses.fields(TrainState)), self.everywhere
        )
        return TrainState(**places | {"rollout": self.divided, "critic_memory": self.divided})


def layout(count: int) -> Layout:
    """Over the first `count` devices; where there are several processes, each has as many."""
    processes = jax.process_count()
    each = [jax.local_devices(process_index=i)[: count // processes] for i in range(processes)]
    return Layout(Mesh(np.concatenate(each), (AXIS,)))


def on_host(tree: Any) -> Any:
    """All of these arrays as NumPy, also what other processes hold; every process has to ask."""
    if jax.process_count() > 1:
        tree = process_allgather(tree, tiled=True)
    return jax.device_get(tree)


def all_agree(here: bool) -> bool:
    """Whether it holds in every process; each has to ask."""
    if jax.process_count() == 1:
        return here
    return bool(process_allgather(np.array(here)).all())
