"""Which checkpoint, as a flag."""

from __future__ import annotations

from typing import Literal

from opspo.errors import unknown_name


def parse_checkpoint(text: str) -> int | Literal["latest", "best"]:
    """`latest`, `best`, or `40` → 40."""
    if text.isdecimal():
        return int(text)
    names: dict[str, Literal["latest", "best"]] = {"latest": "latest", "best": "best"}
    if text in names:
        return names[text]
    raise unknown_name("checkpoint", text, (*names, "<iteration>"))
