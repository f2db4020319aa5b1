"""Which environments can be played on this machine, and how to install the others."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from opspo.environments import make_env
from opspo.environments.base import EnvironmentSpec
from opspo.environments.families import FAMILIES, Family
from opspo.errors import ConfigError, EngineError, unknown_name

WIDTH = 124


@dataclass(frozen=True)
class Entry:
    """A listed environment."""

    env: str
    installed: bool
    install: str
    """How to install the engine; "" if nothing is needed"""
    spec: EnvironmentSpec | None
    """None if the engine is missing or does not load"""
    fault: str = ""
    """Why an installed engine does not load"""

    @property
    def actions(self) -> str:
        """Each agent's actions, in words."""
        assert self.spec is not None
        size = self.spec.action_size
        if self.spec.num_actions:
            return f"{self.spec.num_actions}" + (f"^{size}" if size else "")
        return f"[-1, 1]^{size}"


def catalogue(families: Collection[str] = ()) -> list[Entry]:
    """All listed environments, with the sizes of those whose engine is installed.

    Args:
        families: only these families; by default all.

    Raises:
        ConfigError: there is no such family.
    """
    for name in families:
        if name not in FAMILIES:
            raise unknown_name("family of environments", name, FAMILIES)
    return [
        _entry(f"{name}/{task}", family)
        for name, family in FAMILIES.items()
        if not families or name in families
        for task in family.tasks
    ]


def _entry(env: str, family: Family) -> Entry:
    if not family.installed:
        return Entry(env, False, family.install, None)
    try:
        return Entry(env, True, family.install, make_env(env).spec)
    except (ConfigError, EngineError) as error:  # one broken engine should not hide the others
        return Entry(env, True, family.install, None, str(error))


def show(entries: list[Entry]) -> None:
    """Print the table, then what is missing."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("environment", no_wrap=True)
    for column in ("agents", "observation", "state", "actions"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("engine", no_wrap=True)
    for entry in entries:
        if entry.spec is None:
            why = "does not load" if entry.installed else "not installed"
            table.add_row(entry.env, "", "", "", "", why)
            continue
        sizes = (entry.spec.num_agents, entry.spec.observation_size, entry.spec.state_size)
        table.add_row(entry.env, *map(str, sizes), entry.actions, entry.spec.engine)
    console = Console()
    # piped output has no width, and names should not be cut off in a narrow window
    Console(width=max(console.width, WIDTH)).print(table)
    missing = {entry.env.split("/")[0]: entry.install for entry in entries if not entry.installed}
    for family, install in missing.items():
        print(f"To install {family}/…: {install}")
    for fault in dict.fromkeys(entry.fault for entry in entries if entry.fault):
        print(fault)
