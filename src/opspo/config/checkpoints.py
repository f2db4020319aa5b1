"""Parsing a flag that selects a checkpoint."""

from __future__ import annotations

from typing import Literal

from opspo.errors import unknown_name


def parse_checkpoint(text: str) -> int | Literal["latest", "best"]:
    """Parse `latest`, `best` or an iteration: `40` → 40.

    Raises:
        ConfigError: the text is none of these.
    """
    if text.isdecimal():
        return int(text)
    names: dict[str, Literal["latest", "best"]] = {"latest": "latest", "best": "best"}
    if text in names:
        return names[text]
    raise unknown_name("checkpoint", text, (*names, "<iteration>"))
