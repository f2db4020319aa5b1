"""Plain data as TOML: the standard library only reads it."""

from __future__ import annotations

import json
import math
from typing import Any


def toml(data: dict[str, Any]) -> str:
    """Plain data as TOML: numbers, text, lists and tables."""
    own = {name: value for name, value in data.items() if not _is_table(value)}
    lines = [f"{_quoted(name)} = {_value(value)}" for name, value in own.items()]
    for name, value in data.items():
        several = [value] if isinstance(value, dict) else value if _is_table(value) else []
        for each in several:
            lines += [f"[{_quoted(name)}]" if isinstance(value, dict) else f"[[{_quoted(name)}]]"]
            lines += [f"{_quoted(key)} = {_value(item)}" for key, item in each.items()]
    return "\n".join(lines) + "\n"


def _is_table(value: Any) -> bool:
    several = isinstance(value, list | tuple) and value and isinstance(value[0], dict)
    return isinstance(value, dict) or bool(several)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{_quoted(key)} = {_value(each)}" for key, each in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else f"{'-' if value < 0 else ''}inf"
    return _quoted(value)


def _quoted(value: Any) -> str:
    # what JSON escapes beyond ASCII is no TOML
    return json.dumps(value, ensure_ascii=False)
