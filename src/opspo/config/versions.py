"""The format of config.json, and how older formats are read.

A run folder outlives the program that wrote it. When you add a setting or change a default, ask
what earlier runs did:

- A new setting whose default is what every run did before: nothing to do. The default fills in what
  an older file does not have.
- A new setting with any other default, or a new default of an existing setting: increase `FORMAT`
  by one (unless that was done since the last release), and enter in `OLD_VALUES`, under the
  previous format, what older runs did.
- The name, type or meaning of an existing setting never changes: add a new setting instead.

`tests/test_format.py` fails until its list of settings and defaults agrees.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from opspo.algorithms.common import AlgorithmConfig
from opspo.errors import ConfigError

FORMAT = 2
"""The format of files written now. Files that name no format have format 1."""

OLD_VALUES: dict[int, dict[str, Any]] = {
    1: {
        "algorithm.action_ratio": "mean",
        "policy.agent_id": False,
        "policy.running_normalisation": False,
    },
}
"""Format → setting → the value it had in that format if the file does not have it."""


def upgrade(
    data: Mapping[str, Any], algorithm: type[AlgorithmConfig], *, found: int
) -> dict[str, Any]:
    """The settings of a file with format `found`, completed with the old values it lacks.

    The file's own values stay as they are. Settings of other algorithms are left out.
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
        if not isinstance(part, dict):  # the reader will report it
            return
    part.setdefault(last, value)


def check_format(found: Any, written_by: Any, own_version: str) -> int:
    """Check the format that a file names, and return it.

    Args:
        found: the format.
        written_by: the version of opspo that wrote the file.
        own_version: this version of opspo.

    Raises:
        ConfigError: it is not a format, or only a later opspo can read it; the message says which.
    """
    if type(found) is not int or found < 1:
        raise ConfigError(f"format must be a whole number from 1 to {FORMAT}, but is {found!r}.")
    if found > FORMAT:
        later = isinstance(written_by, str) and written_by != own_version
        install = (
            f"Install the opspo that wrote it, or a later one: pip install 'opspo>={written_by}'"
            if later
            else "A later commit of this version wrote it: update your checkout"
        )
        raise ConfigError(
            f"This configuration has format {found}, but opspo {own_version} reads formats up to "
            f"{FORMAT}. {install} (versions.json beside it says more)."
        )
    return found
