"""Errors of a setting: they name it, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting is unknown or out of range; the message names the field and the fix."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """An error for a name that does not exist: it lists what does, the nearest first."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ConfigError(f"Unknown {kind} '{name}'.{hint} There are: {', '.join(names)}.")


def require(ok: bool, name: str, rule: str, value: object) -> None:
    """Raise unless `ok`, saying what `name` must be."""
    if not ok:
        raise ConfigError(f"{name} must be {rule}, but is {value!r}.")
