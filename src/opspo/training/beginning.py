"""What is raised before a run has anything to save."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opspo.environments.frames import told
from opspo.errors import ConfigError, TrainingError


@contextmanager
def beginning(then: str) -> Iterator[None]:
    """What an environment raises before there is anything to save is told in its own frames."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise TrainingError(f"The run could not begin.\n{told(error)}\n{then}") from error
