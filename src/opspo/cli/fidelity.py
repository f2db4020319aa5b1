"""`opspo fidelity`: how near corrected updates come to what on-policy data would give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from opspo.config import parse_checkpoint
from opspo.errors import ConfigError, unknown_name
from opspo.fidelity.extent import Extent


@dataclass(frozen=True)
class _Fidelity:
    """Measure how near each estimator's direction comes to the one that on-policy data give.

    From a checkpoint of a sequential algorithm, the agents before a stage move by the algorithm's
    own update. Then estimators from the old policies' batches are compared with a long on-policy
    reference, by the cosine of the gradients.
    """

    run_dir: tyro.conf.Positional[str]
    """Folder of the run."""
    checkpoint: str = "latest"
    """Which checkpoint: `latest`, or an iteration."""
    extent: tyro.conf.OmitArgPrefixes[Extent] = field(default_factory=Extent)
    only: tuple[str, ...] = ()
    """Only these candidates, such as `AEC` and `OPSPO`, beside GAE."""
    seed: int = 0
    """Seed of all streams."""
    json: str = ""
    """JSON file for all measurements."""
    figure: str = ""
    """File for a figure: PNG, SVG or PDF, by its ending."""


def command(arguments: Sequence[str]) -> None:
    """Measure, and show a table."""
    parsed = tyro.cli(_Fidelity, prog="opspo fidelity", args=arguments)
    checkpoint = parse_checkpoint(parsed.checkpoint)
    if checkpoint == "best":
        raise ConfigError("--checkpoint must be `latest` or an iteration: `best` has no optimiser.")
    for name in filter(None, (parsed.json, parsed.figure)):
        if not Path(name).parent.is_dir():
            raise ConfigError(f"{name} cannot be written: there is no folder {Path(name).parent}.")

    from rich.console import Console
    from rich.progress import Progress

    from opspo.devices import keep_programs
    from opspo.fidelity.candidates import BASELINE, candidates
    from opspo.fidelity.fidelity_figure import check_ending, draw_fidelity
    from opspo.fidelity.fidelity_table import print_fidelity
    from opspo.fidelity.of_run import measure_fidelity
    from opspo.run_folder import open_run, replace_text

    if parsed.figure:
        check_ending(Path(parsed.figure))
    keep_programs()
    known = candidates(open_run(parsed.run_dir)[1])
    for name in parsed.only:
        if name not in known:
            raise unknown_name("candidate", name, known)
    chosen = {n: c for n, c in known.items() if not parsed.only or n in (*parsed.only, BASELINE)}
    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        found = measure_fidelity(
            parsed.run_dir,
            checkpoint=checkpoint,
            chosen=chosen,
            extent=parsed.extent,
            seed=parsed.seed,
            told=lambda what, share: progress.update(task, description=what, completed=share),
        )
    print_fidelity(found, console)
    if parsed.json:
        replace_text(Path(parsed.json), json.dumps(found) + "\n")
    if parsed.figure:
        draw_fidelity(found, Path(parsed.figure))
