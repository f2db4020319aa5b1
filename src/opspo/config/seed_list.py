"""Parsing the flag --seeds."""

from __future__ import annotations

import re

from opspo.errors import ConfigError


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse several seeds: `0..3` → (0, 1, 2, 3), and `0,3` → (0, 3).

    Raises:
        ConfigError: the text has neither form, or its range is empty.
    """
    if found := re.fullmatch(r"(\d+)\.\.(\d+)", text):
        first, last = map(int, found.groups())
        if first <= last:
            return tuple(range(first, last + 1))
    elif re.fullmatch(r"\d+(,\d+)*", text):
        return tuple(map(int, text.split(",")))
    raise ConfigError(f"--seeds must be like 0..7 or 0,3,5, but is '{text}'.")
