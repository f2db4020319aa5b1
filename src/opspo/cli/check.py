"""`opspo check`: play environments at random, and report what does not fit."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Annotated

import tyro

from opspo.environments import require_env
from opspo.errors import ConfigError


@dataclass(frozen=True)
class _Check:
    """Play environments at random, and report what does not fit their specifications."""

    env: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Environment ids, such as `smax/3m` or `pettingzoo/my_module`."""
    episodes: int = 3
    """Episodes to play."""
    seed: int = 0
    """Seed of the episodes and of the actions."""
    max_steps: int = 10_000
    """Steps after which an episode that does not end is abandoned."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print JSON."""


def command(arguments: Sequence[str]) -> None:
    """`opspo check`; the exit status is 1 if there is a problem."""
    parsed = tyro.cli(_Check, prog="opspo check", args=arguments)
    if not parsed.env:
        raise ConfigError("Which env? For example `opspo check smax/3m`; `opspo envs` lists all.")
    for env in parsed.env:
        require_env(env)

    from opspo.environments.checks.check_env import check_env

    reports = []
    for env in parsed.env:
        # an environment may print, which is no JSON
        with redirect_stdout(sys.stderr if parsed.json else sys.stdout):
            report = check_env(
                env, episodes=parsed.episodes, seed=parsed.seed, max_steps=parsed.max_steps
            )
        reports.append(report)
        if not parsed.json:
            print(report, flush=True)
    if parsed.json:
        print(json.dumps([dataclasses.asdict(r) | {"ok": r.ok} for r in reports], indent=2))
    if not all(report.ok for report in reports):
        sys.exit(1)
