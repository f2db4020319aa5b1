"""Griffe extension: `a, b: [T, ...]` in a docstring documents a and b."""

from __future__ import annotations

import re
from typing import Any

import griffe

SEVERAL = re.compile(r"^( {4})(\w+(?:, \w+)+): (.*(?:\n {8}.*)*)", flags=re.MULTILINE)


class SharedDescriptions(griffe.Extension):
    """Write an entry for several arguments once for each, as Google's style has it."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rewrite the docstring of a function."""
        if obj.docstring and obj.is_function:
            before, args, rest = obj.docstring.value.partition("\nArgs:\n")
            section, gap, after = rest.partition("\n\n")
            obj.docstring.value = before + args + SEVERAL.sub(_each, section) + gap + after


def _each(entry: re.Match[str]) -> str:
    """`gamma, gae_lambda: γ, λ.` names one symbol for each; any other text is for all."""
    names, said = entry[2].split(", "), entry[3]
    symbols = said.rstrip(".").split(", ")
    apart = len(symbols) == len(names) and not any(" " in symbol for symbol in symbols)
    each = [f"{symbol}." for symbol in symbols] if apart else [said] * len(names)
    return "\n".join(f"{entry[1]}{name}: {text}" for name, text in zip(names, each, strict=True))
