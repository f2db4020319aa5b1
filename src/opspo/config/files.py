"""A configuration as JSON text and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_type_hints

import opspo
from opspo.algorithms import ALGORITHMS
from opspo.algorithms.common import AlgorithmConfig
from opspo.config.changes import flat
from opspo.config.own import declared_as, plain_settings, stand_in, with_missing
from opspo.config.run import TrainConfig
from opspo.config.versions import FORMAT, check_format, upgrade
from opspo.errors import ConfigError, unknown_name
from opspo.terms import Missing


def to_plain(config: TrainConfig) -> dict[str, Any]:
    """The complete configuration as JSON objects, with its format and who wrote it.

    In place of a function of the user's own stands its name, and `declaration` names a class of the
    user's own; neither is ever imported.
    """
    head: dict[str, Any] = {"format": FORMAT, "opspo": opspo.__version__}
    if own := declared_as(config.algorithm):
        head["declaration"] = own
    return head | plain_settings(config)


def to_json(config: TrainConfig) -> str:
    """The complete configuration as JSON text.

    Raises:
        ConfigError: a field of an algorithm of the user's own cannot be written as JSON.
    """
    plain = to_plain(config)
    for name, value in plain["algorithm"].items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"algorithm.{name} = {value!r} cannot be written to config.json: {error}. Fields "
                "of a declaration are numbers, text, and tuples or dicts of them; bind anything "
                "else to the function that needs it, with functools.partial."
            ) from error
    return json.dumps(plain, indent=2) + "\n"


def with_settings(config: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """The settings of a run, some of them changed.

    Args:
        config: the run's.
        settings: by the names of the flags of `opspo train`, such as `algorithm.clip`.

    Raises:
        ConfigError: there is no such setting, or it cannot have that value.
    """
    data = to_plain(config)
    for name, value in settings.items():
        *sections, last = name.split(".")
        part: Any = data
        for section in sections:
            part = part.get(section) if isinstance(part, dict) else None
        if not isinstance(part, dict) or last not in part or isinstance(part[last], dict):
            raise unknown_name("setting", name, flat(plain_settings(config)))
        part[last] = value
    return from_json(json.dumps(data))


def from_json(text: str) -> TrainConfig:
    """Read what `to_json` wrote, now or in an older version.

    A setting that an older format does not have gets the value that it had then (`versions`); any
    other that is missing gets its default. Functions and declarations of the user's own come back
    as stand-ins, which play a policy but do not train (`own`).

    Raises:
        ConfigError: a setting is unknown or ill-typed, or the format is one of a later version.
    """
    try:
        data = dict(json.loads(text))
        algo, settings = data["algo"], dict(data.get("algorithm", {}))
        declaration = data.pop("declaration", "")
        algorithm = ALGORITHMS.get(algo)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"The configuration cannot be read: {error!r}") from error
    # first: a later version may have algorithms and settings that this one does not know
    written_by = data.pop("opspo", None)
    found = check_format(data.pop("format", 1), written_by, opspo.__version__)
    if declaration:
        algorithm = stand_in(algo, declaration, settings)
    if algorithm is None:
        raise unknown_name("algorithm", algo, ALGORITHMS)
    return _parse(TrainConfig, upgrade(data, algorithm, found=found), algorithm)


def _parse(cls: type[Any], data: dict[str, Any], algorithm: type[AlgorithmConfig]) -> Any:
    if cls is algorithm and algorithm.stands_for:
        return cls(**with_missing(data))
    types = get_type_hints(cls)
    fields = {item.name for item in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, value in with_missing(data).items() if cls is algorithm else data.items():
        if key not in fields:
            raise unknown_name(f"field of {cls.__name__}", key, fields)
        part = algorithm if types[key] is AlgorithmConfig else types[key]
        if dataclasses.is_dataclass(part) and isinstance(value, dict):
            values[key] = _parse(part, value, algorithm)
        else:
            values[key] = value if isinstance(value, Missing) else _checked(cls, key, part, value)
    return cls(**values)


def _checked(cls: type[Any], name: str, kind: Any, value: Any) -> Any:
    """A value in the type of its field; a list becomes a tuple."""
    import pydantic  # noqa: PLC0415  (only readers of a run folder need it)

    try:
        return pydantic.TypeAdapter(kind).validate_python(value)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{cls.__name__} cannot be read: {name}: {error}") from error
