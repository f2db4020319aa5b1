"""Stopping between two iterations on Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_flag() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM set a flag that is checked between iterations; a second one kills.

    The context is a function that returns the flag.
    """
    raised = False

    def handler(number: int, frame: Any) -> None:
        nonlocal raised
        if raised:
            raise KeyboardInterrupt
        raised = True
        print("\nStopping after this iteration; Ctrl-C again stops immediately.", file=sys.stderr)

    old: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            old[number] = signal.signal(number, handler)
    except ValueError:  # not in the main thread: Python allows handlers only there
        old = {}
    try:
        yield lambda: raised
    finally:
        for number, before in old.items():
            signal.signal(number, before)
