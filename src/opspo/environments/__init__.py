"""Environments by id. Importing this package loads no engine; `make_env` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opspo.config import unknown_name

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
"""Those of the paper; any other partition goes by the same form of id"""
PETTINGZOO_MODULES = ("mpe2.simple_spread_v3",)
"""An example; any module with a parallel_env goes by its name"""


def environment_ids() -> tuple[str, ...]:
    """Every environment id, as `family/task`."""
    families = {"smax": SMAX_MAPS, "mamujoco": MAMUJOCO_TASKS, "pettingzoo": PETTINGZOO_MODULES}
    families["probe"] = PROBES
    return tuple(f"{family}/{name}" for family, names in families.items() for name in names)


def check_id(env: str) -> None:
    """Raise a `ConfigError` that lists what exists, if `env` does not."""
    if env.startswith("mamujoco/"):
        from opspo.environments.mamujoco import parse  # noqa: PLC0415

        parse(env.removeprefix("mamujoco/"))
    elif not env.startswith("pettingzoo/") and env not in environment_ids():
        raise unknown_name("environment", env, environment_ids())


def make_env(env: str) -> Environment:
    """The environment of that id.

    Raises:
        ConfigError: there is none of that id; the message names the nearest.
    """
    check_id(env)
    family, task = env.split("/", 1)
    if family == "smax":
        from opspo.environments.smax import SMAX  # noqa: PLC0415  (loads the engine)

        return SMAX(task)
    if family == "mamujoco":
        from opspo.environments.mamujoco import MAMuJoCo  # noqa: PLC0415  (loads the engine)

        return MAMuJoCo(task)
    if family == "pettingzoo":
        from opspo.environments.pettingzoo import from_module  # noqa: PLC0415

        return from_module(task)
    from opspo.environments.probes import make_probe  # noqa: PLC0415  (loads JAX)

    return make_probe(task)
