"""Where a value stands in a TOML file. The parser of the standard library does not say."""

from __future__ import annotations

import re
from collections.abc import Sequence

HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")


def line_of(text: str, keys: Sequence[str | int]) -> int:
    """The line of a value, from 1; that of the nearest part around it that has one, or 0.

    Args:
        text: the file's.
        keys: path of the value, such as ("groups", 1, "tasks").
    """
    wanted = _split(keys)
    for length in range(len(wanted), 0, -1):
        for line, path in enumerate(_paths(text.splitlines()), start=1):
            if _split(path) == wanted[:length]:
                return line
    return 0


def _split(keys: Sequence[str | int]) -> list[str | int]:
    """A path with `"a.b"` as `a.b`: settings may be written either way."""
    return [part for key in keys for part in (key.split(".") if isinstance(key, str) else [key])]


def _paths(lines: Sequence[str]) -> list[tuple[str | int, ...]]:
    """The path of what begins in each line; () where nothing does."""
    counts: dict[str, int] = {}
    table: tuple[str | int, ...] = ()
    found: list[tuple[str | int, ...]] = []
    for line in lines:
        if header := HEADER.match(line):
            table = tuple(_parts(header[2]))
            if header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
                table = (*table, counts[header[2]])
            elif table[0] in counts:
                table = (table[0], counts[str(table[0])], *table[1:])
            found.append(table)
        elif "=" in line and (parts := _parts(line.partition("=")[0])):
            found.append((*table, *parts))
        else:
            found.append(())
    return found


def _parts(key: str) -> list[str]:
    """The parts of a dotted key, quoted or bare; [] if it is none."""
    parts = re.findall(r'"([^"]*)"|([\w-]+)', key)
    whole = re.fullmatch(r'\s*("[^"]*"|[\w-]+)(\s*\.\s*("[^"]*"|[\w-]+))*\s*', key)
    return [quoted or bare for quoted, bare in parts] if whole else []
