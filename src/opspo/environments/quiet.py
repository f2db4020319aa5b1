"""Importing libraries that print."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Suppress standard output inside the block.

    JaxMARL prints remarks while it is imported, and in between resets stdout to __stdout__, but
    `opspo eval` must print JSON and nothing else.
    """
    stdout, sys.__stdout__ = sys.__stdout__, io.StringIO()  # type: ignore[assignment,misc]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.__stdout__ = stdout  # type: ignore[misc]
