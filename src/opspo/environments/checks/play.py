"""Random play of a batch of environments, twice to see whether it repeats."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from opspo.environments.base import HostBatch, HostEnvironment, Observation
from opspo.environments.checks.episodes import Watch
from opspo.environments.checks.findings import Recorder, Stop
from opspo.environments.checks.instant import Subject
from opspo.environments.checks.shapes import (
    found_kind,
    missing_parts,
    observation_faults,
    playable,
    step_faults,
)
from opspo.environments.checks.twins import difference
from opspo.environments.decisions import random_action
from opspo.environments.frames import described, user_frames
from opspo.errors import ConfigError, EngineError

REPEATED = 200
"""Number of steps that are played twice"""


def play(
    environment: HostEnvironment, subject: Subject, *, episodes: int, seed: int, max_steps: int
) -> tuple[int, int]:
    """Play random available actions until `episodes` episodes have ended.

    Findings go to the subject's recorder. Play also stops when an episode exceeds `max_steps`.

    Returns:
        The number of episodes that ended and the number of steps taken.
    """
    try:
        with ExitStack() as stack:
            return _Play(environment, subject, seed, stack).go(episodes, max_steps)
    except Stop:
        return 0, 0


@contextmanager
def reported(
    recorder: Recorder,
    doing: str,
    where: str = "",
    fix: str = "It must not raise, whenever it is called and whichever available actions it gets.",
) -> Iterator[None]:
    """Record whatever an environment raises inside the block.

    Raises:
        Stop: it raised.
    """
    try:
        yield
    except Stop:
        raise
    except Exception as error:
        _record(recorder, error, doing, where, fix)
        raise Stop from error


def _record(recorder: Recorder, error: Exception, doing: str, where: str, fix: str) -> None:
    if isinstance(error, ConfigError):
        recorder.problem("refused", str(error), where=where)
        return
    said = f"raises {described(error)}"
    if isinstance(error, EngineError):  # several lines, with the frames of the cause in between
        lines = (line for line in str(error).splitlines() if not line.startswith(" "))
        said = f"cannot continue: {' '.join(lines)}"
    recorder.problem(
        f"raises: {doing}",
        f"{doing} {said.rstrip('.')}.",
        fix,
        where=where,
        trace=user_frames(error),
    )


class _Play:
    """Two batches with the same seed, given the same actions."""

    def __init__(
        self, environment: HostEnvironment, subject: Subject, seed: int, stack: ExitStack
    ) -> None:
        self._subject = subject
        self._seed = seed
        self._stack = stack
        agents = subject.spec.num_agents
        self._num_envs = 3 if agents == 2 else 2  # so that no axis can be mistaken for another
        self._batch = self._opened(environment, "`open`")
        # both open together, like groups of environments and evaluations: they must share nothing
        self._twin: HostBatch | None = self._opened(environment, "`open`, called a second time,")
        self._rng = np.random.default_rng(seed)

    def go(self, episodes: int, max_steps: int) -> tuple[int, int]:
        """Play until that many episodes have ended, or one of them takes too long."""
        limit = self._subject.spec.episode_limit
        patience = min(limit, max_steps) if limit else max_steps
        with reported(self._recorder, "`reset`", "episode 1"):
            first = self._batch.reset()
        self._check_form(observation_faults, first, "`reset`")
        first = copy.deepcopy(first)  # an engine may refill the same arrays at each step
        watch = Watch(self._subject, first)
        if self._twin:
            with reported(self._recorder, "`reset`", "episode 1"):
                self._compare(Watch.where(watch, 0), first, self._twin.reset())
        seen = first
        while watch.finished < episodes and watch.longest < patience:
            try:
                seen = self._step(watch, seen)
            except Stop:
                break
        else:
            if watch.finished < episodes and watch.longest >= max_steps:
                self._too_long(watch, max_steps)
            watch.finish()
        return watch.finished, watch.steps

    @property
    def _recorder(self) -> Recorder:
        return self._subject.recorder

    def _opened(self, environment: HostEnvironment, doing: str) -> HostBatch:
        """Open a batch that has at least `reset` and `step`, to be closed at the end."""
        with reported(self._recorder, doing):
            batch = environment.open(self._num_envs, self._seed)
        self._recorder.add(*missing_parts(batch))
        if not (hasattr(batch, "reset") and hasattr(batch, "step")):
            raise Stop
        if hasattr(batch, "close"):
            self._stack.callback(self._close, batch)
        return batch

    def _close(self, batch: HostBatch) -> None:
        try:
            with reported(self._recorder, "`close`"):
                batch.close()
        except Stop:
            pass

    def _step(self, watch: Watch, seen: Observation) -> Observation:
        """Take one step in both batches.

        Returns:
            The observation to continue from.

        Raises:
            Stop: play cannot continue.
        """
        recorder, where = self._recorder, watch.next_step
        lead = (self._num_envs,)
        action = random_action(self._subject.spec, seen.available_actions, self._rng, lead=lead)
        with reported(recorder, "`step`", where):
            returned = self._batch.step(action)
        if not isinstance(returned, tuple | list) or len(returned) != 2:
            recorder.problem(
                "returns: step",
                f"`step` returns {found_kind(returned)}, not a tuple of 2.",
                "It must return (Step, Observation): the outcome of the actions, and the "
                "observation to continue from.",
            )
            raise Stop
        step, following = returned
        self._check_form(step_faults, step, "`step`")
        self._check_form(observation_faults, following, "`step`, the observation to continue from")
        step, following = copy.deepcopy((step, following))
        watch.step(step, following)
        self._check_workers(where)
        if self._twin and watch.steps <= REPEATED * self._num_envs:
            with reported(recorder, "`step`", where):
                other = self._twin.step(action)
            self._compare(where, (step, following), other)
        return following

    def _check_form(self, faults_of: Callable[..., Any], value: Any, where: str) -> None:
        faults = faults_of(self._subject.spec, value, lead=(self._num_envs,), where=where)
        self._recorder.add(*faults.values())
        self._subject.faulty.update(faults)
        if not playable(faults):
            raise Stop

    def _check_workers(self, where: str) -> None:
        if getattr(self._batch, "lost_episodes", 0):
            self._twin = None  # from here on the two may differ
            self._recorder.problem(
                "worker died",
                "An environment's worker died, and its episode was lost.",
                "Run it in this process (`workers=False`) to see its error.",
                where=where,
            )

    def _compare(self, where: str, one: Any, other: Any) -> None:
        """Compare the two plays, which had the same seed and the same actions."""
        field = difference(one, other)
        if field:
            self._twin = None
            self._recorder.problem(
                "not deterministic",
                "Two plays with the same seed and the same actions differ, first in "
                f"{self._subject.words[field]}.",
                "Draw only from the seed or key passed in, and share nothing between environments: "
                "no global random numbers, no clock, no class attribute.",
                where=where,
            )

    def _too_long(self, watch: Watch, max_steps: int) -> None:
        limit, where = self._subject.spec.episode_limit, watch.where(watch.oldest)
        if limit:
            self._recorder.note(
                "no end seen",
                f"An episode was abandoned after {max_steps} steps, before its limit of {limit}.",
                "Check with a larger `max_steps` to see how episodes end.",
                where=where,
            )
        else:
            self._recorder.problem(
                "never ends",
                f"An episode has not ended after {max_steps} steps, and `spec.episode_limit` is 0.",
                f"An episode without an end has no return: {self._subject.words.end}. If episodes "
                "are that long, check with a larger `max_steps`.",
                where=where,
            )
