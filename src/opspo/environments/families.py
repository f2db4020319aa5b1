"""The families of environments: their tasks, what they need, and how they are made."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from opspo.environments.tasks import (
    FOOTBALL_SCENARIOS,
    INSTALL_STARCRAFT,
    JAXMARL_TASKS,
    MAMUJOCO_TASKS,
    PETTINGZOO_MODULES,
    PROBES,
    SMAC_MAPS,
    SMAX_MAPS,
)
from opspo.errors import ConfigError

if TYPE_CHECKING:
    from opspo.environments.base import Environment


@dataclass(frozen=True)
class Family:
    """The environments of one engine, `<family>/<task>`. Only `make` loads the engine."""

    tasks: tuple[str, ...]
    """The tasks that are listed."""
    make: Callable[[str], Environment]
    """(task) → the environment. Raises a `ConfigError` that says what is wrong with the task."""
    check: Callable[[str], object] | None = None
    """For families that take more than the listed tasks: raises a `ConfigError` for a task that
    does not exist."""
    modules: tuple[str, ...] = ()
    """Modules that must be importable."""
    game: Callable[[], str] | None = None
    """() → what else is missing, "" if nothing is."""
    install: str = ""
    """The command that installs the engine, or where to find the instructions."""

    @property
    def missing(self) -> list[str]:
        """What is missing on this machine: modules, then the game."""
        lacking = [module for module in self.modules if find_spec(module) is None]
        return [*lacking, *filter(None, [self.game() if self.game else ""])]

    @property
    def installed(self) -> bool:
        """Whether the engine is installed."""
        return not self.missing

    def require(self, env: str) -> None:
        """Raise a `ConfigError` that says how to install the engine, if it is missing."""
        missing = self.missing
        if missing:
            raise ConfigError(f"{env} needs {' and '.join(missing)}: {self.install}")


def _smax(task: str) -> Environment:
    from opspo.environments.smax import SMAX  # noqa: PLC0415  (loads the engine)

    return SMAX(task)


def _jaxmarl(task: str) -> Environment:
    from opspo.environments.jaxmarl import JaxMARL  # noqa: PLC0415  (loads the engine)

    return JaxMARL(task)


def _check_jaxmarl(task: str) -> object:
    from opspo.environments.jaxmarl import parse  # noqa: PLC0415  (loads JAX)

    return parse(task)


def _mamujoco(task: str) -> Environment:
    from opspo.environments.mamujoco import MAMuJoCo  # noqa: PLC0415  (loads the engine)

    return MAMuJoCo(task)


def _check_mamujoco(task: str) -> object:
    from opspo.environments.mamujoco import parse  # noqa: PLC0415

    return parse(task)


def _football(task: str) -> Environment:
    from opspo.environments.football import Football  # noqa: PLC0415  (loads the engine)

    return Football(task)


def _check_football(task: str) -> object:
    from opspo.environments.football import parse  # noqa: PLC0415

    return parse(task)


def _smac(task: str) -> Environment:
    from opspo.environments.starcraft import from_map  # noqa: PLC0415  (loads the engine)

    return from_map(task)


def _missing_starcraft() -> str:
    """On Linux the game must be in a known folder; elsewhere the game itself says where it is."""
    folder = Path(os.environ.get("SC2PATH", "~/StarCraftII")).expanduser()
    there = sys.platform != "linux" or folder.is_dir()
    return "" if there else f"StarCraft II in {folder}"


def _pettingzoo(task: str) -> Environment:
    from opspo.environments.pettingzoo import from_module  # noqa: PLC0415

    return from_module(task)


def _probe(task: str) -> Environment:
    from opspo.environments.probes import make_probe  # noqa: PLC0415  (loads JAX)

    return make_probe(task)


def _anything(task: str) -> object:
    return task


FAMILIES: dict[str, Family] = {
    "smax": Family(SMAX_MAPS, _smax),
    # listed: those that need neither options nor Brax
    "jaxmarl": Family(JAXMARL_TASKS, _jaxmarl, check=_check_jaxmarl),
    # listed: the paper's; any other partition has an id of the same form
    "mamujoco": Family(
        MAMUJOCO_TASKS,
        _mamujoco,
        check=_check_mamujoco,
        modules=("envpool", "gymnasium_robotics"),
        install="pip install 'opspo[mujoco]'",
    ),
    "football": Family(
        FOOTBALL_SCENARIOS,
        _football,
        check=_check_football,
        modules=("gfootball",),
        install="docs/environments/football.md says how (it is built from source)",
    ),
    # listed: the paper's; SMAC has more
    "smac": Family(
        SMAC_MAPS,
        _smac,
        check=_anything,
        modules=("smac", "pysc2"),
        game=_missing_starcraft,
        install=INSTALL_STARCRAFT,
    ),
    # listed: an example; any module with a parallel_env works, by its name
    "pettingzoo": Family(
        PETTINGZOO_MODULES,
        _pettingzoo,
        check=_anything,
        modules=("pettingzoo",),
        install="pip install 'opspo[pettingzoo]'",
    ),
    "probe": Family(PROBES, _probe),
}
