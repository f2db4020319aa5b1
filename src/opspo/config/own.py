"""Algorithms of the user's own in config.json, which keeps their names; nothing imports them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from keyword import iskeyword
from typing import Any

from opspo.algorithms import ALGORITHMS, AlgorithmConfig, SequentialConfig
from opspo.algorithms.common import CLASS_OWN
from opspo.algorithms.names import TERMS
from opspo.config.run import TrainConfig
from opspo.errors import ConfigError
from opspo.terms import Missing, called


def plain_algorithm(algorithm: AlgorithmConfig) -> dict[str, Any]:
    """A declaration's settings, with the names of functions in their place."""
    settings = {item.name: getattr(algorithm, item.name) for item in dataclasses.fields(algorithm)}
    return {
        name: called(value) if name in TERMS and callable(value) else _plain(value)
        for name, value in settings.items()
    }


def plain_settings(config: TrainConfig) -> dict[str, Any]:
    """A run's settings, with the names of functions in their place."""
    settings = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    # functions may be dataclasses too, which `asdict` would take apart
    return {
        name: plain_algorithm(value) if isinstance(value, AlgorithmConfig) else _plain(value)
        for name, value in settings.items()
    }


def _plain(value: Any) -> Any:
    is_part = dataclasses.is_dataclass(value) and not isinstance(value, type)
    return dataclasses.asdict(value) if is_part else value


def declared_as(algorithm: AlgorithmConfig) -> str:
    """`module:Class` of a declaration from outside of this package; "" for one of ours."""
    kind = type(algorithm)
    return "" if kind in ALGORITHMS.values() else algorithm.stands_for or called(kind)


def own_names(config: TrainConfig) -> list[str]:
    """`module:name` of everything without which its user alone can resume a run."""
    terms = (getattr(config.algorithm, name, None) for name in TERMS)
    functions = [called(term) for term in terms if callable(term)]
    names = (config.composed_by, declared_as(config.algorithm), *functions)
    return [name for name in names if name]


def stand_in(algo: str, declaration: str, settings: Mapping[str, Any]) -> type[AlgorithmConfig]:
    """A class for the settings of a declaration that is known by its name alone.

    What it describes can be read and shown, and its policy played; `compose` refuses it. Its fields
    have no types and no checks, since only the declaration knows them.

    Args:
        algo: the algorithm's name.
        declaration: `module:Class`.
        settings: those of the file.

    Raises:
        ConfigError: a name is none that a declaration can have.
    """
    if not (isinstance(declaration, str) and isinstance(algo, str) and ":" in declaration):
        raise ConfigError(
            f"declaration must be 'module:Class', and algo a name, but they are {declaration!r} "
            f"and {algo!r}."
        )
    sequential = {item.name for item in dataclasses.fields(SequentialConfig)} <= set(settings)
    base = SequentialConfig if sequential else AlgorithmConfig
    known = {item.name for item in dataclasses.fields(base)}
    for name in settings:
        possible = name.isidentifier() and not iskeyword(name) and not hasattr(base, name)
        if name not in known and (name in CLASS_OWN or not possible):
            raise ConfigError(f"algorithm.{name}: no field of {declaration} can have that name.")
    return dataclasses.make_dataclass(
        declaration.rpartition(":")[2].rpartition(".")[2],
        [(name, Any) for name in settings],
        bases=(base,),
        namespace={"name": algo, "stands_for": declaration, "__post_init__": lambda self: None},
        frozen=True,
        kw_only=True,
    )


def with_missing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a file, with a `Missing` for each name of a function of the user's own."""
    return {
        name: Missing(value) if name in TERMS and isinstance(value, str) and ":" in value else value
        for name, value in settings.items()
    }
