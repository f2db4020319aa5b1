"""What a check found, each kind of thing once, with where it first happened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit, or that is worth a look."""

    kind: str
    """A short name, the same whatever the environment: a kind is reported once"""
    what: str
    """What was expected and what came"""
    fix: str = ""
    """What to do about it"""
    where: str = ""
    """Where it first happened"""
    trace: str = ""
    """The user's frames of an exception"""

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        line = f"{self.what}{where} {self.fix}".strip()
        return f"{line}\n{self.trace}" if self.trace else line

    def lines(self, label: str) -> list[str]:
        """For a terminal, below each other."""
        parts = [f"{label}: {self.what}"]
        parts += [f"  where: {self.where}"] if self.where else []
        parts += [f"  fix: {self.fix}"] if self.fix else []
        return parts + [f"  {line}" for line in self.trace.splitlines()]


@dataclass(frozen=True)
class Report:
    """The outcome of `opspo.check_env`; `print` shows it."""

    name: str
    """The environment's"""
    problems: tuple[Finding, ...]
    """What does not fit the specification, or cannot be trained on"""
    notes: tuple[Finding, ...]
    """What is allowed, and is often not meant"""
    episodes: int
    """Episodes that were played to their end"""
    steps: int
    """Steps that were played, of all environments together"""

    @property
    def ok(self) -> bool:
        """Whether there is no problem."""
        return not self.problems

    def __str__(self) -> str:
        found = f"{_count(len(self.problems), 'problem')}, {_count(len(self.notes), 'note')}"
        played = f"{_count(self.episodes, 'whole episode')} in {_count(self.steps, 'step')}"
        lines = [f"{self.name}: {found}; {played} of random play."]
        for label, findings in (("problem", self.problems), ("note", self.notes)):
            for finding in findings:
                lines += ["", *finding.lines(label)]
        return "\n".join(lines)


INDEPENDENT = ("not deterministic", "never ends")
"""Kinds of problems that do not follow from others"""


class Stop(Exception):
    """What was found makes it impossible to go on; it is recorded."""


class Recorder:
    """Collects findings, and keeps the first of each kind."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        """The environment's, as far as it is known"""
        self._problems: dict[str, Finding] = {}
        self._notes: dict[str, Finding] = {}

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Those so far."""
        return tuple(self._problems.values())

    @property
    def notes(self) -> tuple[Finding, ...]:
        """Those so far."""
        return tuple(self._notes.values())

    def add(self, *findings: Finding) -> None:
        """Problems that were found elsewhere."""
        for finding in findings:
            self._problems.setdefault(finding.kind, finding)

    def follow(self, other: Recorder) -> None:
        """Take over what was found after these, by what they may have misled.

        Where there are problems already, only what no other problem can bring about.
        """
        alone = not self._problems
        self.add(*(p for p in other.problems if alone or p.kind in INDEPENDENT))
        for note in other.notes if alone else ():
            self._notes.setdefault(note.kind, note)

    def problem(
        self, kind: str, what: str, fix: str = "", *, where: str = "", trace: str = ""
    ) -> None:
        """What does not fit the specification."""
        self.add(Finding(kind, what, fix, where, trace))

    def note(self, kind: str, what: str, fix: str = "", *, where: str = "") -> None:
        """What is allowed, and is often not meant."""
        self._notes.setdefault(kind, Finding(kind, what, fix, where))


def _count(number: int, noun: str) -> str:
    """1 problem, 2 problems, no problems."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
