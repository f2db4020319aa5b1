"""The families of environments: what their tasks are called, what they need, who makes them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from opspo.errors import ConfigError

if TYPE_CHECKING:
    from opspo.environments.base import Environment

PROBES = (
    "credit",
    "truncation",
    "termination",
    "masks",
    "death",
    "memory",
    "continuous",
    "coordination",
    "overshoot",
    "regulator",
)
SMAX_MAPS = (
    "3m",
    "2s3z",
    "3s5z",
    "3s5z_vs_3s6z",
    "3s_vs_5z",
    "5m_vs_6m",
    "6h_vs_8z",
    "8m",
    "8m_vs_9m",
    "10m_vs_11m",
    "25m",
    "27m_vs_30m",
    "MMM2",
    "corridor",
    "smacv2_5_units",
    "smacv2_10_units",
    "smacv2_20_units",
)
MAMUJOCO_TASKS = (
    "Ant-8x1",
    "HalfCheetah-6x1",
    "Hopper-3x1",
    "Humanoid-9|8",
    "HumanoidStandup-9|8",
    "Walker2d-6x1",
)
FOOTBALL_SCENARIOS = (
    "5_vs_5",
    "academy_3_vs_1_with_keeper",
    "academy_corner",
    "academy_counterattack_easy",
    "academy_counterattack_hard",
    "academy_empty_goal",
    "academy_empty_goal_close",
    "academy_pass_and_shoot_with_keeper",
    "academy_run_pass_and_shoot_with_keeper",
    "academy_run_to_score",
    "academy_run_to_score_with_keeper",
    "academy_single_goal_versus_lazy",
)
JAXMARL_TASKS = (
    "MPE_simple_spread_v3",
    "MPE_simple_reference_v3",
    "MPE_simple_speaker_listener_v4",
    "MPE_simple_facmac_3a_v1",
    "overcooked",
    "overcooked_v2",
    "hanabi",
    "switch_riddle",
)
SMAC_MAPS = (
    "8m_vs_9m",
    "5m_vs_6m",
    "3s5z",
    "10m_vs_11m",
    "MMM2",
    "3s5z_vs_3s6z",
    "27m_vs_30m",
    "6h_vs_8z",
    "corridor",
)
STARCRAFT = (
    "install StarCraft II with SMAC's maps, in ~/StarCraftII or in the folder that SC2PATH names, "
    "and SMAC from its repository, github.com/oxwhirl/smac (PyPI's 'smac' is another program). "
    "docs/environments/starcraft.md says how."
)
PETTINGZOO_MODULES = ("mpe2.simple_spread_v3",)


@dataclass(frozen=True)
class Family:
    """Environments of one engine, `<family>/<task>`. Nothing here loads the engine but `make`."""

    tasks: tuple[str, ...]
    """Those that are listed."""
    make: Callable[[str], Environment]
    """(task) → the environment; a `ConfigError` says what is wrong with the task."""
    check: Callable[[str], object] | None = None
    """Where other tasks than the listed are taken: raises a `ConfigError` for what is none."""
    modules: tuple[str, ...] = ()
    """What must be importable."""
    game: Callable[[], str] | None = None
    """() → what else is missing, "" if nothing is."""
    install: str = ""
    """The command that brings it."""

    @property
    def missing(self) -> list[str]:
        """What its engine lacks here."""
        lacking = [module for module in self.modules if find_spec(module) is None]
        return [*lacking, *filter(None, [self.game() if self.game else ""])]

    @property
    def installed(self) -> bool:
        """Whether its engine is there."""
        return not self.missing

    def require(self, env: str) -> None:
        """Raise a `ConfigError` with the command that installs the engine, if it is missing."""
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
    """On Linux the game is looked for in one folder; elsewhere it says itself where it is."""
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
    # those without options, and without Brax
    "jaxmarl": Family(JAXMARL_TASKS, _jaxmarl, check=_check_jaxmarl),
    # those of the paper; any other partition goes by the same form of id
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
    # those of the paper; SMAC has more
    "smac": Family(
        SMAC_MAPS,
        _smac,
        check=_anything,
        modules=("smac", "pysc2"),
        game=_missing_starcraft,
        install=STARCRAFT,
    ),
    # an example; any module with a parallel_env goes by its name
    "pettingzoo": Family(
        PETTINGZOO_MODULES,
        _pettingzoo,
        check=_anything,
        modules=("pettingzoo",),
        install="pip install 'opspo[pettingzoo]'",
    ),
    "probe": Family(PROBES, _probe),
}
