"""The processes of one run, on one machine or several, as one flag."""

from __future__ import annotations

import re
from dataclasses import dataclass

from opspo.errors import ConfigError


@dataclass(frozen=True)
class Processes:
    """A process's place among those that train one run together, usually one per machine."""

    coordinator: str
    """Address and port of the first, as in `10.0.0.1:9000`"""
    count: int
    index: int
    """From 0. The first writes the run's folder"""


def parse_processes(text: str) -> Processes | None:
    """`10.0.0.1:9000,2,0` → the first of two; of an empty text None, a run in one process.

    Raises:
        ConfigError: it is of another form.
    """
    if not text:
        return None
    found = re.fullmatch(r"([^,\s]+:\d+),(\d+),(\d+)", text)
    if found:
        place = Processes(found[1], int(found[2]), int(found[3]))
        if place.index < place.count:
            return place
    raise ConfigError(
        "--processes must be address:port of the first process, how many there are, and which of "
        f"them this is (from 0), like 10.0.0.1:9000,2,0, but is '{text}'."
    )
