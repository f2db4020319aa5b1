"""A configuration as JSON text and back."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_type_hints

from opspo.config.algorithm import AlgorithmConfig
from opspo.config.algorithms import ALGORITHM_CONFIGS
from opspo.config.errors import ConfigError, unknown_name
from opspo.config.run import TrainConfig


def to_json(config: TrainConfig) -> str:
    """The complete configuration as JSON text."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> TrainConfig:
    """Read what `to_json` wrote; an unknown or ill-typed field is a `ConfigError`."""
    try:
        data = json.loads(text)
        algorithm = ALGORITHM_CONFIGS.get(data["algo"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"The configuration cannot be read: {error!r}") from error
    if algorithm is None:
        raise unknown_name("algorithm", data["algo"], ALGORITHM_CONFIGS)
    return _parse(TrainConfig, data, algorithm)


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
