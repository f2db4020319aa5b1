"""What a check found: each kind once, with where it first happened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit, or that deserves a look."""

    kind: str
    """A short name that does not depend on the environment: each kind is reported once"""
    what: str
    """What was expected and what was found"""
    fix: str = ""
    """How to fix it"""
    where: str = ""
    """Where it first happened"""
    trace: str = ""
    """The user's frames, if there was an exception"""

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        line = f"{self.what}{where} {self.fix}".strip()
        return f"{line}\n{self.trace}" if self.trace else line

    def lines(self, label: str) -> list[str]:
        """The finding as lines for a terminal, the first starting with `label`."""
        parts = [f"{label}: {self.what}"]
        parts += [f"  where: {self.where}"] if self.where else []
        parts += [f"  fix: {self.fix}"] if self.fix else []
        return parts + [f"  {line}" for line in self.trace.splitlines()]


@dataclass(frozen=True)
class Report:
    """The result of `opspo.check_env`; `print` shows it."""

    name: str
    """The environment's name"""
    problems: tuple[Finding, ...]
    """Whatever does not fit the specification or cannot be trained on"""
    notes: tuple[Finding, ...]
    """Whatever is allowed but often unintended"""
    episodes: int
    """Number of episodes played to their end"""
    steps: int
    """Number of steps played, in all environments together"""

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
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
"""Kinds of problems that do not follow from other problems"""


class Stop(Exception):
    """The check cannot continue; the reason has been recorded."""


class Recorder:
    """Collects findings and keeps the first of each kind."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        """The environment's name, as far as it is known"""
        self._problems: dict[str, Finding] = {}
        self._notes: dict[str, Finding] = {}

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The problems so far."""
        return tuple(self._problems.values())

    @property
    def notes(self) -> tuple[Finding, ...]:
        """The notes so far."""
        return tuple(self._notes.values())

    def add(self, *findings: Finding) -> None:
        """Add problems that were found elsewhere."""
        for finding in findings:
            self._problems.setdefault(finding.kind, finding)

    def follow(self, other: Recorder) -> None:
        """Take over later findings, which these findings may have caused.

        If there are problems already, take over only those that no other problem can cause.
        """
        alone = not self._problems
        self.add(*(p for p in other.problems if alone or p.kind in INDEPENDENT))
        for note in other.notes if alone else ():
            self._notes.setdefault(note.kind, note)

    def problem(
        self, kind: str, what: str, fix: str = "", *, where: str = "", trace: str = ""
    ) -> None:
        """Add something that does not fit the specification."""
        self.add(Finding(kind, what, fix, where, trace))

    def note(self, kind: str, what: str, fix: str = "", *, where: str = "") -> None:
        """Add something that is allowed but often unintended."""
        self._notes.setdefault(kind, Finding(kind, what, fix, where))


def _count(number: int, noun: str) -> str:
    """1 problem, 2 problems, no problems."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
