"""What several processes that share a run do as one."""

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
    """Where this process writes: the run's folder, or, of several processes, for all but the
    first a folder that is thrown away. So each can work as if it were alone."""
    if processes is None or processes.index == 0:
        yield run
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            yield Path(scratch) / "run"
        except (Interrupted, TrainingError) as error:
            # the paths that it names are those of the scratch folder
            said = "Stopped together with the first process, which has the run."
            raise type(error)(said) from error


@contextmanager
def all_or_none() -> Iterator[None]:
    """What one process cannot do stops the others too, which would wait for it.

    Raises:
        RunError: another process has failed.
    """
    try:
        yield
    except Exception:
        all_agree(False)
        raise
    if not all_agree(True):
        raise RunError(
            "Another process could not begin with the run's folder; its own message says why."
        )


def check_engine(environment: Environment, name: str, processes: Processes | None) -> None:
    """Raise where processes cannot divide an environment."""
    if processes and runs_on_host(environment):
        raise ConfigError(
            f"{name} is not simulated in JAX, so it cannot be divided over processes: "
            "train in one, without --processes."
        )
