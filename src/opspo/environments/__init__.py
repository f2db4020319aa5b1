"""Environments by id. Importing this package loads no engine; `make_env` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opspo.config import unknown_name

if TYPE_CHECKING:
    from opspo.environments.base import JaxEnvironment

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
    "10m_vs_11m",
    "25m",
    "27m_vs_30m",
    "smacv2_5_units",
    "smacv2_10_units",
    "smacv2_20_units",
)


def environment_ids() -> tuple[str, ...]:
    """Every environment id, as `family/task`."""
    return tuple(f"smax/{name}" for name in SMAX_MAPS) + tuple(f"probe/{n}" for n in PROBES)


def check_id(env: str) -> None:
    """Raise a `ConfigError` that lists what exists, if `env` does not."""
    if env not in environment_ids():
        raise unknown_name("environment", env, environment_ids())


def make_env(env: str) -> JaxEnvironment:
    """The environment of that id.

    Raises:
        ConfigError: there is none of that id; the message names the nearest.
    """
    check_id(env)
    family, task = env.split("/", 1)
    if family == "smax":
        from opspo.environments.smax import SMAX  # noqa: PLC0415  (loads the engine)

        return SMAX(task)
    from opspo.environments.probes import make_probe  # noqa: PLC0415  (loads JAX)

    return make_probe(task)
