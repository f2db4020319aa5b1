"""The run folder: its files, and the rules for creating one."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from opspo.config import TrainConfig, from_json, to_json
from opspo.errors import ConfigError, RunError


@dataclass(frozen=True)
class RunFolder:
    """The paths in a run's folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The complete configuration."""
        return self.path / "config.json"

    @property
    def environment(self) -> Path:
        """The environment's specification, so that a policy loads without the engine."""
        return self.path / "environment.json"

    @property
    def versions(self) -> Path:
        """Versions of packages, the machine and the git commit."""
        return self.path / "versions.json"

    @property
    def metrics(self) -> Path:
        """One JSON object per iteration."""
        return self.path / "metrics.jsonl"

    @property
    def evaluations(self) -> Path:
        """One JSON object per evaluation."""
        return self.path / "evaluations.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The latest training states, by iteration."""
        return self.path / "checkpoints"

    @property
    def best(self) -> Path:
        """The training state with the best evaluation."""
        return self.path / "best"

    @property
    def init(self) -> Path:
        """The run that this one started from, and what it took; absent if there was none."""
        return self.path / "init.json"

    @property
    def extended(self) -> Path:
        """One JSON object for each time that `total_steps` was changed."""
        return self.path / "extended.jsonl"

    @property
    def lock(self) -> Path:
        """The lock that the training process holds."""
        return self.path / ".lock"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard events."""
        return self.path / "tensorboard"


def create(config: TrainConfig, *, overwrite: bool) -> RunFolder:
    """Create the folder of a new run.

    Raises:
        RunError: the folder is not empty and `overwrite` is false, it has something that is not a
            run, another process is training in it, or it cannot be written.
    """
    check_free(config, overwrite=overwrite)
    folder, settings = RunFolder(config.folder), to_json(config)  # it may fail: nothing is lost yet
    try:
        if folder.config.is_file():
            _make_room(folder)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.config.write_text(settings)
        folder.versions.write_text(json.dumps(package_versions(), indent=2) + "\n")
    except OSError as error:
        raise RunError(
            f"The run folder {folder.path} cannot be written: {error}. Choose another with "
            "--run-dir."
        ) from error
    return folder


def check_free(config: TrainConfig, *, overwrite: bool) -> None:
    """Check, without changing anything, that `create` may use the folder.

    Raises:
        RunError: the folder is not empty and `overwrite` is false, or it has something that is not
            a run.
    """
    folder = RunFolder(config.folder)
    if not folder.path.exists() or (folder.path.is_dir() and not any(folder.path.iterdir())):
        return
    if not overwrite:
        raise RunError(
            f"The run folder {folder.path} exists. Continue it with `opspo resume --run-dir "
            f"{shlex.quote(str(folder.path))}`, choose another with --run-dir, or replace it with "
            "--overwrite."
        )
    if not (folder.config.is_file() and folder.versions.is_file()):
        raise RunError(
            f"{folder.path} is not a run folder (it has no config.json and versions.json), so "
            "--overwrite will not delete it. Choose another with --run-dir."
        )


def _make_room(folder: RunFolder) -> None:
    """Delete the run in a folder, but nothing else that may be there."""
    with hold(folder):
        for part in (folder.checkpoints, folder.best, folder.tensorboard):
            shutil.rmtree(part, ignore_errors=True)
        for part in (
            folder.metrics,
            folder.evaluations,
            folder.environment,
            folder.init,
            folder.extended,
        ):
            part.unlink(missing_ok=True)


@contextmanager
def hold(folder: RunFolder) -> Iterator[None]:
    """Keep other processes from training in the same folder.

    Raises:
        RunError: another process is training in it.
    """
    with folder.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(
                f"Another process is training in {folder.path}. Wait for it or stop it."
            ) from error
        yield


def open_run(run_dir: str | Path) -> tuple[RunFolder, TrainConfig]:
    """Open an existing run: its folder and configuration, with `run_dir` set to the folder.

    Raises:
        RunError: there is no run, or its configuration cannot be read.
    """
    folder = RunFolder(Path(run_dir))
    if not folder.config.is_file():
        raise RunError(
            f"{folder.path} is not a run folder: it has no config.json. Train first, for instance "
            f"`opspo train --run-dir {folder.path}`."
        )
    try:
        config = from_json(folder.config.read_text())
    except (ConfigError, OSError, UnicodeDecodeError) as error:
        raise RunError(f"{folder.config}: {error}") from error
    return folder, dataclasses.replace(config, run_dir=str(folder.path))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a JSON-lines file, up to the first incomplete line; [] without a file."""
    return list(_valid_lines(path)) if path.is_file() else []


def _valid_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def cut_lines(path: Path, *, last_iteration: int) -> None:
    """Drop the rows after an iteration, in one atomic move."""
    write_lines(path, [row for row in read_lines(path) if row["iteration"] <= last_iteration])


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rewrite a JSON-lines file in one atomic move; without rows, delete it."""
    if rows:
        text = "".join(json.dumps(row) + "\n" for row in rows)
        replace_text(path, text, advice=how_to_go_on(path.parent))
    else:
        path.unlink(missing_ok=True)


def how_to_go_on(folder: Path) -> str:
    """What to do where a file of a run that continues cannot be written."""
    return (
        "Free some space or fix the permissions, then "
        f"`opspo resume --run-dir {shlex.quote(str(folder))}`."
    )


def replace_text(path: Path, text: str, *, advice: str = "") -> None:
    """Write a file in one atomic move: a reader sees either the old text or the new one.

    Args:
        path: the file, in a folder that exists.
        text: all of it.
        advice: what to do if it cannot be written.

    Raises:
        RunError: it cannot be written, for instance because the disk is full. The file is then
            unchanged.
    """
    part = path.with_suffix(".part")
    try:
        part.write_text(text)
        os.replace(part, path)
    except OSError as error:
        advice = advice or "Choose a folder that exists, has space, and that you may write to."
        raise RunError(f"{path} cannot be written: {error}. {advice}") from error


def make_folder(folder: Path, *, advice: str) -> Path:
    """Make a folder if it is not there, and return it.

    Raises:
        RunError: it cannot be made; `advice` says what to do.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"The folder {folder} cannot be made: {error}. {advice}") from error
    return folder


def package_versions() -> dict[str, Any]:
    """Versions of packages, the machine and the git commit, to interpret results later."""
    return {
        "python": sys.version.split()[0],
        "machine": {
            "platform": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
        },
        "git_commit": _git_commit(),
        "packages": dict(sorted((d.name, d.version) for d in distributions())),
    }


def _git_commit() -> str | None:
    """The commit of this package's checkout; None if it is not run from a checkout."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        for command in (
            ["ls-files", "--error-unmatch", here.name],
            ["describe", "--always", "--dirty"],
        ):
            done = subprocess.run([*git, *command], capture_output=True, text=True, check=True)
        return done.stdout.strip()
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout
        return None
