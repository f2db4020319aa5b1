"""What `opspo.train` checks before it begins, and in an engine's first batches."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from opspo.environments.base import (
    Environment,
    EnvironmentSpec,
    HostBatch,
    Observation,
    Step,
    runs_on_host,
)
from opspo.environments.checks.compiled import look
from opspo.environments.checks.findings import Finding, Recorder, Stop
from opspo.environments.checks.shapes import missing_parts, observation_faults, step_faults
from opspo.environments.checks.specification import specification_problems
from opspo.errors import ConfigError


def sound(environment: Environment) -> Environment:
    """Return the environment if its specification is consistent and, in JAX, it compiles.

    No episode is played.

    Raises:
        ConfigError: something does not fit; the message lists all of it.
    """
    recorder = Recorder()
    spec = getattr(environment, "spec", None)
    recorder.add(*specification_problems(spec))
    if not recorder.problems and not runs_on_host(environment):
        with suppress(Stop):
            look(environment, recorder)
    _require(getattr(spec, "name", "") or type(environment).__name__, recorder.problems)
    return environment


class FirstLook:
    """A `HostBatch` whose first observation and first step are checked against the specification.

    A mismatch or a missing part raises a `ConfigError`; unchecked, broadcasting would hide a wrong
    shape and the policy would learn nonsense.
    """

    def __init__(self, batch: HostBatch, spec: EnvironmentSpec, num_envs: int) -> None:
        missing = missing_parts(batch)
        if missing and hasattr(batch, "close"):
            batch.close()  # nobody else will
        _require(spec.name, missing)
        self._batch, self._spec, self._num_envs = batch, spec, num_envs
        self._stepped = False

    def reset(self) -> Observation:
        """Start an episode in every environment."""
        seen = self._batch.reset()
        self._check(observation_faults, seen, "`reset`")
        return seen

    def step(self, action: np.ndarray) -> tuple[Step, Observation]:
        """Take the joint actions, int [E, N] or [E, N, D], or float [E, N, D]."""
        step, following = self._batch.step(action)
        if not self._stepped:
            self._check(step_faults, step, "`step`")
            self._check(observation_faults, following, "`step`, the observation to continue from")
            self._stepped = True
        return step, following

    @property
    def lost_episodes(self) -> int:
        """Number of episodes dropped so far because their worker died."""
        return self._batch.lost_episodes

    def close(self) -> None:
        """Stop the workers."""
        self._batch.close()

    def _check(self, faults_of: Any, value: Any, where: str) -> None:
        faults = faults_of(self._spec, value, lead=(self._num_envs,), where=where)
        _require(self._spec.name, tuple(faults.values()))


def _require(name: str, problems: tuple[Finding, ...]) -> None:
    """Raise a `ConfigError` that lists the problems of an environment, if there are any."""
    if problems:
        raise ConfigError(
            f"{name} cannot be trained on:\n"
            + "\n".join(f"- {finding}" for finding in problems)
            + "\n`opspo.check_env(environment)` plays some episodes and reports more."
        )
