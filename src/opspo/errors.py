"""Every error that a user can meet. Each message says what was expected, what came, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting is unknown or out of range; the message names the setting and the fix."""


class RunError(RuntimeError):
    """A run cannot be started, resumed or read; the message says what to do."""


class EngineError(RuntimeError):
    """An environment raised, or its engine broke down for good; the message has its traceback."""


class WorkerFailure(RuntimeError):
    """What an environment raised in a worker; the text is its traceback."""


class TrainingError(RuntimeError):
    """Training met a quantity that it cannot continue from; the last good state is saved."""


class Interrupted(RuntimeError):
    """Training was asked to stop, and has saved its state."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """An error for a name that does not exist: it lists those that do, the nearest first.

    Args:
        kind: what the name should be of, for the message.
        name: the unknown one.
        known: the names that exist.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return ConfigError(f"Unknown {kind} '{name}'.{hint} There are: {', '.join(names)}.")


def require(ok: bool, name: str, rule: str, value: object) -> None:
    """Raise a `ConfigError` unless `ok`.

    Args:
        ok: whether the setting is right.
        name: of the setting.
        rule: what it must be.
        value: what it is.
    """
    if not ok:
        raise ConfigError(f"{name} must be {rule}, but is {value!r}.")
