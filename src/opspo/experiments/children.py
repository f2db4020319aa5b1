"""Processes that end with the one that started them, and their share of the cores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opspo.errors import RunError

PARENT_DIED = 1
"""PR_SET_PDEATHSIG of Linux's prctl"""


THREADS = ("PJRT_NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables with the number of threads of JAX on a CPU, and of what NumPy may be built on"""


def launch(
    command: Sequence[str], log: Path, *, threads: int = 0, **options: Any
) -> subprocess.Popen[Any]:
    """Start a process whose output goes to the end of a log.

    Args:
        command: its command line.
        log: made with its folder, if need be.
        threads: of its computations; 0 for as many as it has cores.
        options: those of `Popen`.

    Raises:
        RunError: the log cannot be written.
    """
    bounds = dict.fromkeys(THREADS, str(threads)) if threads else {}
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        file = log.open("a")
    except OSError as error:
        raise RunError(
            f"The log {log} cannot be written: {error}. Choose another folder with --runs."
        ) from error
    with file:
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | bounds,
            **options,
        )


def stop_with_parent() -> None:
    """Ask Linux to send SIGTERM once the parent is gone, so that nothing trains unseen.

    Elsewhere the process runs to its end, which does no harm but costs time.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415

        ctypes.CDLL(None, use_errno=True).prctl(PARENT_DIED, signal.SIGTERM, 0, 0, 0)


def cores() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def shares(workers: int) -> list[list[int]]:
    """The cores of each of some workers: as many for each, so that none waits for another.

    With more workers than cores, several have the same one.
    """
    mine = cores()
    size = max(1, len(mine) // workers)
    return [[mine[(i * size + k) % len(mine)] for k in range(size)] for i in range(workers)]


def keep_to(share: list[int]) -> None:
    """Keep this process to some cores, before JAX counts them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, share)
