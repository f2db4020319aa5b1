"""Environments by id. Importing this package loads no engine; `make_env` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opspo.environments.families import FAMILIES, Family
from opspo.errors import unknown_name

if TYPE_CHECKING:
    from opspo.environments.base import Environment


def environment_ids() -> tuple[str, ...]:
    """Ids of all listed environments, as `family/task`."""
    return tuple(f"{name}/{task}" for name, family in FAMILIES.items() for task in family.tasks)


def check_id(env: str) -> None:
    """Raise a `ConfigError` that lists what exists, if the environment id does not."""
    _find(env)


def require_env(env: str) -> None:
    """Raise a `ConfigError` if the environment id does not exist or its engine is missing."""
    family, _ = _find(env)
    family.require(env)


def make_env(env: str) -> Environment:
    """Make the environment with that id.

    Raises:
        ConfigError: the id does not exist (the message names the nearest), or the engine is not
            installed.
        EngineError: the environment raised while it was made; the message has its traceback.
    """
    family, task = _find(env)
    family.require(env)

    from opspo.environments.entry import tried  # noqa: PLC0415  (loads JAX)

    made: Environment = tried(lambda: family.make(task), f"when {env} was made")
    return made


def _find(env: str) -> tuple[Family, str]:
    name, _, task = env.partition("/")
    family = FAMILIES.get(name)
    if family is not None and task and family.check is not None:
        family.check(task)
    elif family is None or task not in family.tasks:
        raise unknown_name("environment", env, environment_ids())
    return family, task
