"""Terms of an algorithm: functions that ask, by the names of their arguments, for what they take.

`clip_ranges.double(log_ratio, *, clip, others_clip)` is given the team-mates' ratio and the
declaration's two numbers; a function of your own is given what it names in the same way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from opspo.errors import ConfigError

Term = Callable[..., Any]


class Missing:
    """A function or a declaration of the user's own, of which a file says the name alone."""

    def __init__(self, name: str) -> None:
        self.name = name
        """`module:name`"""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Missing) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise, since only the user has the function."""
        raise ConfigError(
            f"The algorithm of this run is your own: {self.name}. config.json keeps only its name, "
            "which is never imported. Give it again: opspo.resume(run_dir, algorithm=...)."
        )


def named(module: ModuleType, choice: str | Term) -> Term:
    """The function of a module that a declaration names; a function stands for itself."""
    found: Term = getattr(module, choice) if isinstance(choice, str) else choice
    return found


def call(term: Term, offered: Mapping[str, Any]) -> Any:
    """Call a term with those of the offered arrays and numbers that it names."""
    return term(**{name: offered[name] for name in _parameters(term) if name in offered})


def wants(term: Term, name: str) -> bool:
    """Whether a term asks for something by this name."""
    return name in _parameters(term)


def check(setting: str, term: Term, offered: Iterable[str]) -> None:
    """Raise unless a term asks only for what it can be given.

    Args:
        setting: what the term is for, for the message.
        term: the function.
        offered: names of the arrays and numbers that it can ask for.

    Raises:
        ConfigError: it asks for something else, and the message lists what there is; or it is
            `Missing`.
    """
    _check_callable(setting, term)
    names = set(offered)
    for name, parameter in _parameters(term).items():
        if name in names or parameter.default is not inspect.Parameter.empty:
            continue
        raise ConfigError(
            f"algorithm.{setting}: {called(term)} asks for '{name}', which it cannot be given. Its "
            f"arguments may be: {', '.join(sorted(names))}. Rename it, give it a default, or "
            "declare a field of that name in the algorithm's own config class."
        )


def check_positional(setting: str, term: Term, arguments: Iterable[str]) -> None:
    """Raise unless a term can be called with these arguments in their order.

    Raises:
        ConfigError: it cannot, or it is `Missing`.
    """
    _check_callable(setting, term)
    given = tuple(arguments)
    try:
        inspect.signature(term).bind(*given)
    except TypeError as error:
        raise ConfigError(
            f"algorithm.{setting}: {called(term)} is called as ({', '.join(given)}), but takes "
            f"{inspect.signature(term)}: {error}."
        ) from error


def _check_callable(setting: str, term: Term) -> None:
    if isinstance(term, Missing):
        term()
    if not callable(term):
        raise ConfigError(
            f"algorithm.{setting} must be one of the names or a function, but is {term!r}."
        )


def called(term: Term) -> str:
    """A term's name as config.json keeps it: `module:function`. Nothing ever imports it."""
    if isinstance(term, Missing):
        return term.name
    inner = inspect.unwrap(getattr(term, "func", term))
    kind = inner if hasattr(inner, "__qualname__") else type(inner)
    return f"{kind.__module__}:{kind.__qualname__}"


def _parameters(term: Term) -> dict[str, inspect.Parameter]:
    inner = inspect.unwrap(term)
    given = inner.keywords if isinstance(inner, partial) else {}
    wanted = {}
    for name, parameter in inspect.signature(term).parameters.items():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise ConfigError(
                f"{called(term)} takes '{name}' by position alone; terms are called by the names "
                "of their arguments."
            )
        several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if not several and name not in given:
            wanted[name] = parameter
    return wanted
