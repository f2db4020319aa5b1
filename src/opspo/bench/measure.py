"""Timing a first call that compiles and rounds that do not, and the machine's peak speed."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

COMPILING = "/jax/core/compile/backend_compile_duration"
"""JAX's name for the time that the compiler takes, after tracing and lowering"""
PRODUCT_SIZE = 4096
PRODUCT_ROUNDS = 6


@dataclass(frozen=True)
class Timing:
    """The times of repeated calls, in seconds."""

    seconds: tuple[float, ...]
    """Each round, with everything compiled beforehand"""
    first_seconds: float
    """The first call, which traces, lowers and compiles"""
    compile_seconds: float
    """The compiler's part of `first_seconds`"""

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """The lower and upper quartile of the rounds."""
        lower, upper = np.quantile(self.seconds, (0.25, 0.75))
        return float(lower), float(upper)

    @property
    def lower_seconds(self) -> float:
        """Tracing and lowering: the first call minus compilation and the median of the rounds."""
        return max(0.0, self.first_seconds - self.compile_seconds - self.median)


def time_call(call: Callable[[], Any], rounds: int) -> Timing:
    """Time one call that compiles, then `rounds` more. The call must return all its arrays."""
    with _uncached(), _compiler_seconds() as compiling:
        first = seconds_of(call)
    return Timing(
        seconds=tuple(seconds_of(call) for _ in range(rounds)),
        first_seconds=first,
        compile_seconds=sum(compiling),
    )


def seconds_of(call: Callable[[], Any]) -> float:
    """The time of one call, until the arrays it returns are ready."""
    begin = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - begin


@contextmanager
def _uncached() -> Iterator[None]:
    """Ignore the compilation cache that earlier processes left on disk."""
    before = jax.config.values["jax_enable_compilation_cache"]
    # JAX checks once whether there is a cache, and again only after a reset
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


@contextmanager
def _compiler_seconds() -> Iterator[list[float]]:
    """A list that collects the compilation time of each program compiled inside the block."""
    found: list[float] = []

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == COMPILING:
            found.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def product_rate() -> float:
    """FLOP/s of a large square matrix product, the best of several, as the attainable peak.

    It has the precision of the networks on this device, which on a CPU is 32 bits.
    """
    x = jax.random.normal(jax.random.PRNGKey(0), (PRODUCT_SIZE, PRODUCT_SIZE))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(x, x))
    best = min(seconds_of(lambda: product(x, x)) for _ in range(PRODUCT_ROUNDS))
    return 2 * PRODUCT_SIZE**3 / best


def peak_memory() -> int:
    """Peak memory of this process so far, in bytes, excluding an accelerator's memory."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
