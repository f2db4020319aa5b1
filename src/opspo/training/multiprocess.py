"""Coordinating several processes that share a run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opspo.config import Processes
from opspo.devices import all_agree
from opspo.environments.base import Environment, runs_on_host
from opspo.errors import ConfigError, Interrupted, RunError, TrainingError


@contextmanager
def own_folder(run: Path, processes: Processes | None) -> Iterator[Path]:
    """The folder that this process writes to: the run's, or a temporary one for every process but
    the first. Each process can then work as if it were alone."""
    if processes is None or processes.index == 0:
        yield run
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            yield Path(scratch) / "run"
        except (Interrupted, TrainingError) as error:
            # the paths in its message are those of the temporary folder
            said = "Stopped together with the first process, which has the run."
            raise type(error)(said) from error


@contextmanager
def all_or_none() -> Iterator[None]:
    """Stop all processes if the block fails in one, since the others would wait for it.

    Raises:
        RunError: another process failed.
    """
    try:
        yield
    except Exception:
        all_agree(False)
        raise
    if not all_agree(True):
        raise RunError("Another process could not use the run's folder; its own message says why.")


def check_engine(environment: Environment, name: str, processes: Processes | None) -> None:
    """Raise a `ConfigError` if an environment cannot be divided over processes."""
    if processes and runs_on_host(environment):
        raise ConfigError(
            f"{name} is not simulated in JAX, so it cannot be divided over processes: "
            "train in one process, without --processes."
        )
