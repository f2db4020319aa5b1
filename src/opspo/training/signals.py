"""Stopping between two iterations, when Ctrl-C or SIGTERM asks for it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_flag() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM raise a flag, looked at between iterations; a second one kills."""
    raised = False

    def handler(number: int, frame: Any) -> None:
        nonlocal raised
        if raised:
            raise KeyboardInterrupt
        raised = True
        print("\nStopping after this iteration; once more stops at once.", file=sys.stderr)

    old: dict[signal.Signals, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            old[number] = signal.signal(number, handler)
    except ValueError:  # not in the main thread, where Python allows no handlers
        old = {}
    try:
        yield lambda: raised
    finally:
        for number, before in old.items():
            signal.signal(number, before)
