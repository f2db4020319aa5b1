"""A configuration as JSON text and back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_type_hints

import opspo
from opspo.algorithms import ALGORITHMS
from opspo.algorithms.common import AlgorithmConfig
from opspo.config.run import TrainConfig
from opspo.config.versions import FORMAT, check_format, upgrade
from opspo.errors import ConfigError, unknown_name


def to_plain(config: TrainConfig) -> dict[str, Any]:
    """The complete configuration as JSON objects, with its format and who wrote it."""
    return {"format": FORMAT, "opspo": opspo.__version__, **dataclasses.asdict(config)}


def to_json(config: TrainConfig) -> str:
    """The complete configuration as JSON text."""
    return json.dumps(to_plain(config), indent=2) + "\n"


def from_json(text: str) -> TrainConfig:
    """Read what `to_json` wrote, now or in an older version.

    A setting that an older format does not have gets the value that it had then (`versions`); any
    other that is missing gets its default.

    Raises:
        ConfigError: a setting is unknown or ill-typed, or the format is one of a later version.
    """
    try:
        data = dict(json.loads(text))
        algo = data["algo"]
        algorithm = ALGORITHMS.get(algo)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"The configuration cannot be read: {error!r}") from error
    # first: a later version may have algorithms and settings that this one does not know
    written_by = data.pop("opspo", None)
    found = check_format(data.pop("format", 1), written_by, opspo.__version__)
    if algorithm is None:
        raise unknown_name("algorithm", algo, ALGORITHMS)
    return _parse(TrainConfig, upgrade(data, algorithm, found=found), algorithm)


def _parse(cls: type[Any], data: dict[str, Any], algorithm: type[AlgorithmConfig]) -> Any:
    import pydantic  # noqa: PLC0415  (only readers of a run folder need it)

    types = get_type_hints(cls)
    fields = {item.name for item in dataclasses.fields(cls)}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in fields:
            raise unknown_name(f"field of {cls.__name__}", key, fields)
        part = algorithm if types[key] is AlgorithmConfig else types[key]
        nested = dataclasses.is_dataclass(part) and isinstance(value, dict)
        values[key] = _parse(part, value, algorithm) if nested else value
    try:
        return pydantic.TypeAdapter(cls).validate_python(values)
    except pydantic.ValidationError as error:
        raise ConfigError(f"{cls.__name__} cannot be read: {error}") from error
