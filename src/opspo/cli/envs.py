"""`opspo envs`: the environments, as a table or JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class _Envs:
    """List the environments: agents, sizes, engine, and how to install what is missing."""

    family: tuple[str, ...] = ()
    """Only these, such as `smax mamujoco`."""
    json: bool = False
    """Print JSON."""


def command(arguments: Sequence[str]) -> None:
    """List the environments."""
    parsed = tyro.cli(_Envs, prog="opspo envs", args=arguments)
    from opspo.catalogue import catalogue, show

    entries = catalogue(parsed.family)
    if parsed.json:
        print(json.dumps([dataclasses.asdict(entry) for entry in entries], indent=2))
    else:
        show(entries)
