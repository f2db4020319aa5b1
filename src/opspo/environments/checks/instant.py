"""Checks of one instant's numbers, masks and flags. Arrays have a leading axis E."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from opspo.environments.base import EnvironmentSpec, Step
from opspo.environments.checks.findings import Recorder
from opspo.environments.checks.words import Words, agent_name

LARGE = 1e6
"""Numbers whose absolute value exceeds this get a note"""

Where = Callable[..., str]
"""(environment, agent=, feature=) → that place in the play, in words"""


@dataclass(frozen=True)
class Subject:
    """What is checked, the words to describe it in, and where findings go."""

    spec: EnvironmentSpec
    words: Words
    recorder: Recorder
    faulty: set[str]
    """Fields whose form is wrong, so that their values cannot be checked"""


class Numbers:
    """Checks that numbers are finite, and notes the largest."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._largest: dict[str, tuple[float, str]] = {}

    def look(self, field: str, values: np.ndarray, where: Where) -> None:
        """Check one instant's values of a field: [E], [E, s] or, for observations, [E, N, d]."""
        if field in self._subject.faulty:
            return
        values = np.asarray(values).astype(np.float64)
        finite = np.isfinite(values)
        if not finite.all():
            index = tuple(map(int, np.argwhere(~finite)[0]))
            self._subject.recorder.problem(
                f"not finite: {field}",
                f"{self._subject.words[field]} is not finite: {values[index]}.",
                "Look for a division by 0, a logarithm of 0 or an overflow where it is computed.",
                where=_place(index, where),
            )
            return
        size = np.abs(values)
        largest = float(size.max(initial=0.0))
        if largest > max(LARGE, self._largest.get(field, (0.0, ""))[0]):
            index = tuple(map(int, np.unravel_index(int(size.argmax()), size.shape)))
            self._largest[field] = largest, _place(index, where)

    def finish(self) -> None:
        """Add a note for each field with large numbers."""
        for field, (value, where) in self._largest.items():
            self._subject.recorder.note(
                f"large: {field}",
                f"{self._subject.words[field]} reaches {value:.3g}.",
                "Scale it: 32-bit numbers have 7 digits, so a large number swamps the others.",
                where=where,
            )


def _place(index: tuple[int, ...], where: Where) -> str:
    if len(index) == 3:
        return where(index[0], index[1], feature=index[2])
    return where(index[0], feature=index[1] if len(index) == 2 else None)


_NO_ACTION = {
    True: "Every agent needs an action at every step, even if it does nothing.",
    False: "Leave the dead one action, for example the first: it has no effect on learning.",
}


def check_masks(subject: Subject, available: np.ndarray, alive: np.ndarray, where: Where) -> None:
    """Check masks [E, N, A] or [E, N, D, A], for agents that are alive or not, [E, N]."""
    mask = subject.words["available_actions"]
    none = ~available.any(-1)
    if none.ndim == 3:
        none = none.any(-1)
    for living, fix in _NO_ACTION.items():
        found = np.argwhere(none & (alive == living))
        if len(found):
            subject.recorder.problem(
                f"no action: {'alive' if living else 'dead'}",
                f"{mask} leaves {'an agent' if living else 'a dead agent'} no available action.",
                fix,
                where=where(*found[0]),
            )
    _check_surplus(subject, available, where)


def _check_surplus(subject: Subject, available: np.ndarray, where: Where) -> None:
    """Check that masks allow no agent a choice beyond its own."""
    spec = subject.spec
    field = "decision_counts" if spec.decision_counts else "action_counts"
    apart = available.reshape(*available.shape[:2], -1, available.shape[-1])
    for i, counts in enumerate(spec.counts):
        for decision, count in enumerate(counts):
            beyond = np.argwhere(apart[:, i, decision, count:])
            if not len(beyond):
                continue
            of = f" of decision {decision}" if spec.action_size else ""
            subject.recorder.problem(
                "action beyond the count",
                f"{subject.words['available_actions']} allows {agent_name(spec, i)} action "
                f"{count + beyond[0][-1]}{of}, but it has only 0 to {count - 1}: `spec.{field}` is "
                f"{getattr(spec, field)}.",
                "Set the mask to False beyond the agent's own number of actions.",
                where=where(beyond[0][0], i),
            )


def check_ends(subject: Subject, step: Step, numbers: Numbers, where: Where) -> np.ndarray:
    """Check what belongs to the end of an episode: flags, win and outcomes.

    Returns:
        Whether each environment's episode is over, [E] bool.
    """
    words = subject.words
    terminated, truncated = np.asarray(step.terminated, bool), np.asarray(step.truncated, bool)
    done: np.ndarray = terminated | truncated
    for e in np.flatnonzero(terminated & truncated)[:1]:
        subject.recorder.problem(
            "both flags",
            f"{words['terminated']} and {words['truncated']} are both set.",
            "If the task itself ended, nothing was cut: use `truncated & ~terminated`.",
            where=where(e),
        )
    if "win" not in subject.faulty:
        _check_wins(subject, np.asarray(step.win, bool), done, where)
    for name in subject.spec.outcomes:
        field = f"outcome: {name}"
        if field not in subject.faulty:
            # they count only where the episode ended
            values = np.asarray(step.outcome[name]).astype(np.float64)
            numbers.look(field, np.where(done, values, 0.0), where)
    if step.lost is not None:
        _check_losses(subject, np.asarray(step.lost, bool), truncated, where)
    return done


def _check_wins(subject: Subject, win: np.ndarray, done: np.ndarray, where: Where) -> None:
    words = subject.words
    for e in np.flatnonzero(win & ~done)[:1]:
        subject.recorder.problem(
            "win before the end",
            f"{words['win']} is set at a step that does not end the episode.",
            "It counts only at the last step: set it where `terminated` or `truncated` is set.",
            where=where(e),
        )
    if win.any() and not subject.spec.has_win:
        subject.recorder.note(
            "win without has_win",
            f"{words['win']} is set, but `spec.has_win` is False: no win rate is logged.",
            "Set `has_win=True` in the specification.",
            where=where(int(np.flatnonzero(win)[0])),
        )


def _check_losses(subject: Subject, lost: np.ndarray, truncated: np.ndarray, where: Where) -> None:
    for e in np.flatnonzero(lost & ~truncated)[:1]:
        subject.recorder.problem(
            "lost and going on",
            f"{subject.words['lost']} is set at a step that is not truncated.",
            "A lost episode ends at that step: set `truncated`, and a reward of 0.",
            where=where(e),
        )
