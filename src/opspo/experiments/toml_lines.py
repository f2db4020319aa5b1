"""Where a value stands in a TOML file. The parser of the standard library does not say."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Sequence
from typing import Any


def line_of(text: str, keys: Sequence[str | int]) -> int:
    """The line of a value, from 1; that of the nearest part around it that has one, or 0.

    Args:
        text: the file's.
        keys: path of the value, such as ("groups", 1, "tasks").
    """
    wanted, paths = _split(keys), [_split(path) for path in _paths(text.split("\n"))]
    for length in range(len(wanted), 0, -1):
        if wanted[:length] in paths:
            return paths.index(wanted[:length]) + 1
    return 0


def without(text: str, names: Collection[str]) -> str:
    """A file's text without some parts of its top level; every other line keeps its number.

    Args:
        text: the file's.
        names: such as "space", for `space = …`, `space.x = …`, `[space]` and `[space.x]`.
    """
    lines, inside = text.split("\n"), False
    for i, path in enumerate(_paths(lines)):
        inside = path[0] in names if path else inside
        if inside:
            lines[i] = ""
    return "\n".join(lines)


def _split(keys: Sequence[str | int]) -> list[str | int]:
    """A path with `"a.b"` as `a.b`: settings may be written either way."""
    return [part for key in keys for part in (key.split(".") if isinstance(key, str) else [key])]


def _paths(lines: Sequence[str]) -> list[tuple[str | int, ...]]:
    """The path of what begins in each line; () where nothing does."""
    counts: dict[str, int] = {}
    table: tuple[str | int, ...] = ()
    found: list[tuple[str | int, ...]] = [()] * len(lines)
    for i, statement, data in _statements(lines):
        if not statement.lstrip().startswith("["):
            if key := _key(statement):
                found[i] = (*table, *key)
            continue
        table = header = _chain(data)
        if statement.lstrip().startswith("[["):
            name = ".".join(header)
            counts[name] = counts.get(name, -1) + 1
            table = (*header, counts[name])
        elif header[0] in counts:
            table = (header[0], counts[header[0]], *header[1:])
        found[i] = table
    return found


def _statements(lines: Sequence[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Each statement: number of its first line, from 0; text; data. It may take several lines."""
    start = 0
    while start < len(lines):
        for end in range(start + 1, len(lines) + 1):
            statement = "\n".join(lines[start:end])
            if (data := _parsed(statement)) is not None:
                yield start, statement, data
                start = end
                break
        else:
            start += 1


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _key(statement: str) -> tuple[str, ...]:
    """The parts of the key before the first `=` that ends one; () if there is none."""
    for i, character in enumerate(statement):
        if character == "=" and (data := _parsed(f"{statement[:i]}= 0")) is not None:
            return _chain(data)
    return ()


def _chain(data: Any) -> tuple[str, ...]:
    """The keys from the outermost table to the innermost, where each has one."""
    if isinstance(data, list):
        return _chain(data[0])
    if not isinstance(data, dict) or not data:
        return ()
    ((name, inner),) = data.items()
    return (name, *_chain(inner))
