"""`opspo theory`: check the claims; the results are a table, JSON and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from opspo.errors import ConfigError


@dataclass(frozen=True)
class _Theory:
    """Check every bound of the paper, and ours, on small games that are solved exactly."""

    problems: int = 3000
    """Number of random games; each gives one check per agent and pair of estimates."""
    seed: int = 0
    """Seed of the games."""
    search: int = 0
    """Also search for the worst problem of each bound, from this many starting points."""
    search_agents: int = 2
    """Number of agents in the games of the search."""
    json: str = ""
    """File for the results and the worst problems, as JSON."""
    figure: str = ""
    """File for a figure of Table 1's bounds, by number of agents and by step size."""


def command(arguments: Sequence[str]) -> None:
    """Check the bounds, and report."""
    parsed = tyro.cli(_Theory, prog="opspo theory", args=arguments)
    if parsed.problems < 1 or parsed.search < 0 or parsed.search_agents < 1:
        raise ConfigError(
            "--problems and --search-agents must be at least 1, and --search 0 or more, but they "
            f"are {parsed.problems}, {parsed.search_agents} and {parsed.search}."
        )
    if not 0 <= parsed.seed < 2**31:
        raise ConfigError(f"--seed must be from 0 to 2**31 - 1, but is {parsed.seed}.")
    for name in filter(None, (parsed.json, parsed.figure)):
        if not Path(name).parent.is_dir():
            raise ConfigError(f"{name} cannot be written: there is no folder {Path(name).parent}.")
        if Path(name).is_dir():
            raise ConfigError(f"{name} is a folder. Name a file in it.")
    _check_claims(parsed)


def _check_claims(parsed: _Theory) -> None:
    from opspo.theory.checks import Worst, run_checks
    from opspo.theory.claims import CLAIMS
    from opspo.theory.figure import check_figure, draw_figure
    from opspo.theory.search import search
    from opspo.theory.tables import print_table, write_json

    if parsed.figure:
        check_figure(Path(parsed.figure))
    outcomes = run_checks(parsed.problems, parsed.seed)
    found: dict[str, Worst] = {}
    if parsed.search:
        found = {
            claim.name: search(
                claim, parsed.seed, agents=parsed.search_agents, restarts=parsed.search
            )
            for claim in CLAIMS
        }
    print_table(outcomes, found)
    if parsed.json:
        settings = {
            "problems": parsed.problems,
            "seed": parsed.seed,
            "search": parsed.search,
            "search_agents": parsed.search_agents,
        }
        write_json(Path(parsed.json), outcomes, found, settings)
    if parsed.figure:
        draw_figure(Path(parsed.figure))
