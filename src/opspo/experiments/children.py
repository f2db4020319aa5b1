"""Processes that end with the one that started them, and their share of the cores."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PARENT_DIED = 1
"""PR_SET_PDEATHSIG of Linux's prctl"""


def launch(command: Sequence[str], log: Path, **options: Any) -> subprocess.Popen[Any]:
    """Start a process whose output goes to the end of a log; `options` are those of `Popen`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        return subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
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
