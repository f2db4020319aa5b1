"""How long a run took, also where its program trained several seeds, one after another.

Every seed of a shared program has the program's time in its metrics. A note beside the run's folder
says how many seeds shared it, and up to which iteration: a run that was stopped goes on alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from opspo.run_folder import RunFolder, read_lines, replace_text


def note_sharing(folders: Iterable[Path], seeds: int) -> None:
    """Note that runs begin in a program with as many seeds.

    Raises:
        RunError: it cannot be written.
    """
    for folder in folders:
        folder.parent.mkdir(parents=True, exist_ok=True)
        replace_text(_note_of(folder), json.dumps({"seeds": seeds}) + "\n")


def note_alone(folder: Path, iteration: int) -> None:
    """Note that a run goes on alone after an iteration, 0 for from its start.

    Raises:
        RunError: it cannot be written.
    """
    note = _note_of(folder)
    if not note.is_file():
        return
    found = json.loads(note.read_text())
    if iteration == 0:
        note.unlink()
    elif "until" not in found:
        replace_text(note, json.dumps(found | {"until": iteration}) + "\n")


def seconds_of(folder: Path) -> float:
    """The seconds of a run's training, evaluations included: its part of what it shared."""
    rows = read_lines(RunFolder(folder).metrics)
    seconds = float(rows[-1]["wall_seconds"])
    note = _note_of(folder)
    if not note.is_file():
        return seconds
    found = json.loads(note.read_text())
    until = found.get("until", rows[-1]["iteration"])
    shared = max(
        (float(row["wall_seconds"]) for row in rows if row["iteration"] <= until), default=0.0
    )
    return seconds - shared + shared / float(found["seeds"])


def _note_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.sharing.json")
