"""Importing what prints."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Nothing is printed on standard output inside.

    JaxMARL prints remarks while it is imported, and in between sets stdout back to __stdout__;
    `opspo eval` prints JSON and nothing else.
    """
    stdout, sys.__stdout__ = sys.__stdout__, io.StringIO()  # type: ignore[assignment,misc]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        sys.__stdout__ = stdout  # type: ignore[misc]
