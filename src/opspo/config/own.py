"""Algorithms of the user's own in config.json, which keeps their names; nothing imports them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from opspo.algorithms import ALGORITHMS, AlgorithmConfig, SequentialConfig
from opspo.algorithms.names import TERMS
from opspo.config.run import TrainConfig
from opspo.terms import Missing, called


def plain_algorithm(algorithm: AlgorithmConfig) -> dict[str, Any]:
    """A declaration's settings, with the names of functions in their place."""
    settings = dataclasses.asdict(algorithm)
    return settings | {
        name: called(settings[name]) for name in TERMS if callable(settings.get(name))
    }


def declared_as(algorithm: AlgorithmConfig) -> str:
    """`module:Class` of a declaration from outside of this package; "" for one of ours."""
    kind = type(algorithm)
    return "" if kind in ALGORITHMS.values() else algorithm.stands_for or called(kind)


def is_own(config: TrainConfig) -> bool:
    """Whether a run cannot be resumed without something that only its user has."""
    terms = (getattr(config.algorithm, name, None) for name in TERMS)
    return bool(config.composed_by or declared_as(config.algorithm)) or any(map(callable, terms))


def stand_in(algo: str, declaration: str, settings: Mapping[str, Any]) -> type[AlgorithmConfig]:
    """A class for the settings of a declaration that is known by its name alone.

    What it describes can be read and shown, and its policy played; `compose` refuses it.

    Args:
        algo: the algorithm's name.
        declaration: `module:Class`.
        settings: those of the file.
    """
    base = SequentialConfig if "order" in settings else AlgorithmConfig
    known = {item.name for item in dataclasses.fields(base)}
    return dataclasses.make_dataclass(
        declaration.rpartition(":")[2].rpartition(".")[2],
        [(name, Any) for name in settings if name not in known],
        bases=(base,),
        namespace={"name": algo, "stands_for": declaration},
        frozen=True,
        kw_only=True,
    )


def with_missing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a file, with a `Missing` for each name of a function of the user's own."""
    return {
        name: Missing(value) if name in TERMS and isinstance(value, str) and ":" in value else value
        for name, value in settings.items()
    }
