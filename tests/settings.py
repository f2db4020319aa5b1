"""Every setting and its default, as text: `python tests/settings.py` writes it where it is kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from opspo.algorithms import ALGORITHMS
from opspo.config import TrainConfig
from opspo.config.versions import FORMAT

KEPT = Path(__file__).parent / "data" / "settings.json"


def settings() -> dict[str, Any]:
    """The format, the defaults that all algorithms share, and the others by algorithm."""
    each = {
        algo: _flat(dataclasses.asdict(TrainConfig(algo=algo, algorithm=config())), "")
        for algo, config in ALGORITHMS.items()
    }
    first = next(iter(each.values()))
    shared = {
        name: value
        for name, value in first.items()
        if all(name in other and other[name] == value for other in each.values())
    }
    own = {
        algo: {name: value for name, value in found.items() if name not in shared}
        for algo, found in each.items()
    }
    plain: dict[str, Any] = json.loads(json.dumps({"format": FORMAT, "all": shared} | own))
    return plain


def _flat(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


if __name__ == "__main__":
    KEPT.write_text(json.dumps(settings(), indent=1) + "\n")
