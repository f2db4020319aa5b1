"""`opspo algos`: the algorithms, one a line."""

from __future__ import annotations

from collections.abc import Sequence

import tyro

from opspo.algorithms import ALGORITHMS


def command(arguments: Sequence[str]) -> None:
    """List the algorithms."""
    tyro.cli(_no_arguments, prog="opspo algos", args=arguments)
    for name, declaration in sorted(ALGORITHMS.items()):
        print(f"{name:8} {(declaration.__doc__ or '').splitlines()[0]}")


def _no_arguments() -> None:
    """This command takes no arguments."""
