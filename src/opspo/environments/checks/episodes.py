"""Watching a batch of environments: how their episodes begin, continue and end."""

from __future__ import annotations

from typing import Any

import numpy as np

from opspo.environments.base import Observation, Step
from opspo.environments.checks.instant import Numbers, Subject, check_ends, check_masks
from opspo.environments.checks.words import agent_name


class Watch:
    """The episodes of a batch, checked as they are played. Arrays have a leading axis E."""

    def __init__(self, subject: Subject, first: Observation) -> None:
        num_envs = len(np.asarray(first.alive))
        self._subject = subject
        self._numbers = Numbers(subject)
        self._episode = np.arange(1, num_envs + 1)
        """[E] the number of each environment's current episode"""
        self._time = np.zeros(num_envs, int)
        """[E] steps taken in that episode"""
        self._first = self._before = first
        self._changes = self._starts_differ = False
        self._ends_are_starts = True
        self.finished = 0
        """Number of episodes that ended, not counting lost ones"""
        self.steps = 0
        """Number of steps in all environments together"""
        self._begin(first, np.arange(num_envs))

    @property
    def longest(self) -> int:
        """Steps so far in the longest of the current episodes."""
        return int(self._time.max())

    @property
    def oldest(self) -> int:
        """The environment with the longest of the current episodes."""
        return int(self._time.argmax())

    @property
    def next_step(self) -> str:
        """Where the next step is: every environment, since an engine does not say which raised."""
        places = zip(self._episode, self._time + 1, strict=True)
        return " or ".join(f"episode {episode}, step {time}" for episode, time in places)

    def step(self, step: Step, following: Observation) -> None:
        """Check a step's outcome and the observation to continue from."""
        self._time += 1
        self.steps += len(self._time)
        self._look(step.observation)
        self._numbers.look("reward", step.reward, self.where)  # type: ignore[arg-type]
        done = check_ends(self._subject, step, self._numbers, self.where)
        self._deaths(step.observation, done)
        self._limit(done)
        seen, before = step.observation.observation, self._before.observation
        self._changes |= not equal(np.asarray(seen), np.asarray(before))
        lost = np.zeros_like(done) if step.lost is None else np.asarray(step.lost, bool)
        self.finished += int((done & ~lost).sum())
        self._go_on(step.observation, following, done)

    def finish(self) -> None:
        """Record what only shows over all episodes together."""
        recorder, words = self._subject.recorder, self._subject.words
        self._numbers.finish()
        if self.steps and not self._changes:
            recorder.note(
                "constant observation",
                f"{words['observation']} never changed within an episode, in {self.steps} steps.",
                "If agents should see what happens, compute it from the current state.",
            )
            return
        if int(self._episode.max()) > 1 and not self._starts_differ:
            recorder.note(
                "constant start",
                "All episodes start with the same observation.",
                "If starts should vary, draw them from the key or seed passed in.",
            )
        if self.finished > 1 and self._ends_are_starts:
            recorder.note(
                "resets by itself",
                "At the end of every episode, the observation is that of a start.",
                "It must be the true last one. If `step` resets by itself, turn that off: "
                "otherwise a truncated episode gets the value of a new episode's start.",
            )

    def where(self, e: int, agent: int | None = None, *, feature: int | None = None) -> str:
        """A place in the play, in words."""
        time = f"step {self._time[e]}" if self._time[e] else "at the reset"
        parts = [f"episode {self._episode[e]}", time]
        parts += [] if agent is None else [agent_name(self._subject.spec, agent)]
        parts += [] if feature is None else [f"feature {feature}"]
        return ", ".join(parts)

    def _begin(self, seen: Observation, begun: np.ndarray) -> None:
        """Note that episodes start in the environments `begun`."""
        self._look(seen)
        self._starts_differ |= any(not same(seen, self._first, e, 0) for e in begun)
        self._alive = np.asarray(seen.alive, bool)

    def _look(self, seen: Observation) -> None:
        self._numbers.look("observation", np.asarray(seen.observation), self.where)
        self._numbers.look("state", np.asarray(seen.state), self.where)
        if seen.available_actions is not None:
            available, alive = (
                np.asarray(seen.available_actions, bool),
                np.asarray(seen.alive, bool),
            )
            check_masks(self._subject, available, alive, self.where)

    def _deaths(self, seen: Observation, done: np.ndarray) -> None:
        subject, alive = self._subject, np.asarray(seen.alive, bool)
        for e, i in np.argwhere(alive & ~self._alive)[:1]:
            subject.recorder.problem(
                "back to life",
                f"{subject.words['alive']}: an agent that was dead is alive again within the "
                "episode.",
                "Keep it dead until the next reset. To idle it for a while, keep it alive with one "
                "action available.",
                where=self.where(e, i),
            )
        self._alive = alive
        if "observation" in subject.faulty or subject.words.adapted:
            return
        # at an end, all may be dead and still see the last state
        seeing = np.asarray(seen.observation).any(-1) & ~alive & ~done[:, None]
        for e, i in np.argwhere(seeing)[:1]:
            subject.recorder.note(
                "the dead see",
                f"{subject.words['observation']} of a dead agent is not 0.",
                "Multiply it by `alive[:, None]`.",
                where=self.where(e, i),
            )

    def _limit(self, done: np.ndarray) -> None:
        subject, limit = self._subject, self._subject.spec.episode_limit
        if not limit:
            return
        for e in np.flatnonzero(~done & (self._time >= limit))[:1]:
            subject.recorder.problem(
                "beyond the limit",
                f"An episode continues after step {limit}, but `spec.episode_limit` is {limit}, "
                "where training cuts it.",
                f"Raise `spec.episode_limit` to the maximum length of an episode, or "
                f"{subject.words.end}.",
                where=self.where(e),
            )

    def _go_on(self, last: Observation, following: Observation, done: np.ndarray) -> None:
        """Continue from `following`, in a new episode where one ended."""
        going, ended = np.flatnonzero(~done), np.flatnonzero(done)
        if not same(last, following, going, going):
            self._subject.recorder.problem(
                "two observations",
                "An episode continues, but the observation to continue from is not the step's.",
                "`step` returns (Step, Observation): where no episode ended, the second must equal "
                "`Step.observation`.",
                where=self.where(int(going[0])),
            )
        if len(ended):
            self._ends_are_starts &= self._like_a_start(last, following, ended)
            self._episode[ended] = self._episode.max() + 1 + np.arange(len(ended))
            self._time[ended] = 0
            self._begin(following, ended)
        self._before = following

    def _like_a_start(self, last: Observation, following: Observation, ended: np.ndarray) -> bool:
        """Whether those ends look like the next start, or like the only start there is."""
        only = not self._starts_differ and all(same(last, self._first, e, 0) for e in ended)
        return only or same(last, following, ended, ended)


def same(a: Observation, b: Observation, i: Any = slice(None), j: Any = slice(None)) -> bool:
    """Whether environments i of `a` and j of `b` have the same observations and states."""
    pairs = (a.observation, b.observation), (a.state, b.state)
    return all(equal(np.asarray(x)[i], np.asarray(y)[j]) for x, y in pairs)


def equal(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether two arrays are equal; NaN equals NaN."""
    return np.array_equal(x, y, equal_nan=np.issubdtype(x.dtype, np.inexact))
