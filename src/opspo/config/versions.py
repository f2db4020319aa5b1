"""The format of config.json, and what its older formats mean today.

A run folder outlives the program that wrote it. Whoever adds a setting, or moves a default, asks
what an earlier run did:

- A new setting whose default is what every run did before: nothing to do. The default stands for
  what an older file does not say.
- A new setting whose default is something else, or a new default of a setting that is there:
  raise `FORMAT` by one (unless it was, since the last release), and write into `OLD_VALUES`,
  under the format before, what the older runs did.
- A setting's own name, type or meaning does not change: add a new one in its place.

`tests/test_format.py` fails until its list of settings and defaults says the same.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from opspo.algorithms.common import AlgorithmConfig
from opspo.errors import ConfigError

FORMAT = 2
"""Of the files written today. Files without one have format 1."""

OLD_VALUES: dict[int, dict[str, Any]] = {
    1: {
        "algorithm.action_ratio": "mean",
        "policy.agent_id": False,
        "policy.running_normalisation": False,
    },
}
"""Format → setting → the value that it had in that format, where the file does not say."""


def upgrade(
    data: Mapping[str, Any], algorithm: type[AlgorithmConfig], *, found: int
) -> dict[str, Any]:
    """The settings of a file of the format `found`, with what older formats do not say.

    What the file says stays as it is. Settings of other algorithms are left out.
    """
    settings: dict[str, Any] = copy.deepcopy(dict(data))
    for version in range(found, FORMAT):
        for name, value in OLD_VALUES.get(version, {}).items():
            _fill(settings, name, value, algorithm)
    return settings


def _fill(
    settings: dict[str, Any], name: str, value: Any, algorithm: type[AlgorithmConfig]
) -> None:
    *sections, last = name.split(".")
    known = {field.name for field in dataclasses.fields(algorithm)}
    if sections[:1] == ["algorithm"] and [*sections[1:], last][0] not in known:
        return
    part: Any = settings
    for section in sections:
        part = part.setdefault(section, {})
        if not isinstance(part, dict):  # reading it says what is wrong
            return
    part.setdefault(last, value)


def check_format(found: Any, written_by: Any, own_version: str) -> int:
    """The number of a file's format.

    Raises:
        ConfigError: it is none, or one that only a later opspo can read; it says which.
    """
    if type(found) is not int or found < 1:
        raise ConfigError(f"format must be a whole number from 1 to {FORMAT}, but is {found!r}.")
    if found > FORMAT:
        later = isinstance(written_by, str) and written_by != own_version
        install = (
            f"Install the opspo that wrote it, or a later one: pip install 'opspo>={written_by}'"
            if later
            else "A later state of this version wrote it: update your checkout"
        )
        raise ConfigError(
            f"This configuration has format {found}, but opspo {own_version} reads formats up to "
            f"{FORMAT}. {install} (versions.json beside it says more)."
        )
    return found
