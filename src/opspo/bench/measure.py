"""Timing: a first call that compiles, rounds that do not, and what the machine can do at most."""

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
"""JAX's name for what the compiler takes, after tracing and lowering"""
PRODUCT_SIZE = 4096
PRODUCT_ROUNDS = 6


@dataclass(frozen=True)
class Timing:
    """One call, again and again."""

    seconds: tuple[float, ...]
    """of each round, everything compiled before"""
    first_seconds: float
    """of the first call, which traces, lowers and compiles"""
    compile_seconds: float
    """of these, the compiler's own"""

    @property
    def median(self) -> float:
        """Of the rounds."""
        return float(np.median(self.seconds))

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper, of the rounds."""
        lower, upper = np.quantile(self.seconds, (0.25, 0.75))
        return float(lower), float(upper)

    @property
    def lower_seconds(self) -> float:
        """What the first call took besides the compiler and a usual call: tracing and lowering."""
        return max(0.0, self.first_seconds - self.compile_seconds - self.median)


def time_call(call: Callable[[], Any], rounds: int) -> Timing:
    """Call once to compile, then `rounds` times; each call must bring all of its arrays back."""
    with _uncached(), _compiler_seconds() as compiling:
        first = seconds_of(call)
    return Timing(
        seconds=tuple(seconds_of(call) for _ in range(rounds)),
        first_seconds=first,
        compile_seconds=sum(compiling),
    )


def seconds_of(call: Callable[[], Any]) -> float:
    """Of one call, until its arrays are there."""
    begin = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - begin


@contextmanager
def _uncached() -> Iterator[None]:
    """Compile for real, whatever earlier processes have left on the disk."""
    before = jax.config.values["jax_enable_compilation_cache"]
    # whether there is a cache is looked up once, and again after a reset
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
        compilation_cache.reset_cache()


@contextmanager
def _compiler_seconds() -> Iterator[list[float]]:
    """A list that fills with the seconds of each program that is compiled inside."""
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
    """FLOP/s of a large square matrix product, the best of several: the most that can be had.

    At the precision at which the networks run here, which is that of 32 bits on a CPU.
    """
    x = jax.random.normal(jax.random.PRNGKey(0), (PRODUCT_SIZE, PRODUCT_SIZE))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(x, x))
    best = min(seconds_of(lambda: product(x, x)) for _ in range(PRODUCT_ROUNDS))
    return 2 * PRODUCT_SIZE**3 / best


def peak_memory() -> int:
    """Most bytes that this process has held so far, without the memory of an accelerator."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
