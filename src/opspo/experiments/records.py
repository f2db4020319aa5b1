"""The compact record of a finished run: what statistics, figures and reports are made from.

A record is one gzipped JSON file, `results/<study>/<task>/<line>-seed<n>.json.gz`, small enough to
be committed. A run is finished when its record is there, and only then: the run's folder, with
its checkpoints, may be gone.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opspo.config import TrainConfig, from_json, to_plain
from opspo.config.changes import Change, changes
from opspo.errors import ConfigError, RunError
from opspo.evaluate import Evaluation
from opspo.experiments.grid import Run
from opspo.run_folder import RunFolder, package_versions, read_lines

FORMAT = 1
ENDING = ".json.gz"
CURVE = (
    "env_steps",
    "episodes",
    "episode_return",
    "episode_length",
    "win_rate",
    "reward",
    "policy_loss",
    "value_loss",
    "entropy",
    "kl",
    "clip_fraction",
    "actor_grad_norm",
    "critic_grad_norm",
    "others_log_ratio_abs",
    "others_ratio_ess",
    "weight_mean",
    "state_weight_ess",
)
"""Metrics of the training curve, where a run has them: those of sampled episodes, and of updates"""
DIGITS = 6
"""Significant digits of the training curve"""
PACKAGES = ("opspo", "jax", "jaxlib", "flax", "optax", "numpy", "jaxmarl", "envpool", "gfootball")
"""Those whose versions a record keeps"""
FREE = ("run_dir", "tensorboard", "devices", "checkpoint")
"""Settings in which a record may differ from the study: they do not change what is learned"""
TIMES = ("seconds", "versions")
"""Parts of a record in which two runs of the same study may differ"""


@dataclass(frozen=True)
class Record:
    """A finished run."""

    study: str
    group: str
    task: str
    line: str
    seed: int
    config: TrainConfig
    versions: dict[str, Any]
    """Python, machine, commit and packages; `converted` if it was made from an earlier version's
    files, whose runs were not always evaluated as a study says"""
    seconds: float
    """Of training, evaluations included, over all its parts if it was resumed; where several seeds
    shared a program, this seed's share"""
    evaluations: tuple[tuple[int, Evaluation], ...]
    """Environment steps, and the evaluation there"""
    absolute: Evaluation | None
    """The best policy found while training, on fresh episodes; none where a run of an early version
    was not evaluated"""
    absolute_steps: int
    """Steps after which that policy was found, or 0"""
    curve: dict[str, list[Any]]
    """Metric → its value after each iteration"""

    @property
    def score(self) -> Evaluation:
        """The absolute metric.

        Raises:
            ConfigError: the run was not evaluated.
        """
        if self.absolute is None:
            raise ConfigError(
                f"{self.line} on {self.task} with seed {self.seed} was never evaluated: its record "
                "was made by an early version, and has a training curve alone. Delete it and run "
                "the study again to have it evaluated."
            )
        return self.absolute


def path_of(run: Run, results: Path) -> Path:
    """Where a run's record is, or will be."""
    return results / run.study / f"{run.name}{ENDING}"


def film_of(run: Run, results: Path) -> Path:
    """Where a run's film is, if it has one."""
    return results / run.study / f"{run.name}.gif"


def make_record(run: Run, folder: RunFolder, absolute: Evaluation, steps: int) -> Record:
    """The record of a run from its folder.

    Args:
        run: of the study.
        folder: its files.
        absolute: the absolute metric.
        steps: after which its policy was found.
    """
    rows = read_lines(folder.metrics)
    return Record(
        study=run.study,
        group=run.group,
        task=run.task,
        line=run.line,
        seed=run.seed,
        config=run.config,
        versions=_versions(),
        seconds=rows[-1]["wall_seconds"],
        evaluations=tuple(
            (row["env_steps"], Evaluation.of_summary(row)) for row in read_lines(folder.evaluations)
        ),
        absolute=absolute,
        absolute_steps=steps,
        curve=curve_of(rows),
    )


def curve_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The training curve from the rows of a metrics file."""
    return {name: [_rounded(row[name]) for row in rows] for name in CURVE if name in rows[0]}


def write_record(record: Record, path: Path) -> None:
    """Write a record in one atomic move.

    Raises:
        RunError: it cannot be written.
    """
    plain = {
        "format": FORMAT,
        **{name: getattr(record, name) for name in ("study", "group", "task", "line", "seed")},
        "settings": to_plain(dataclasses.replace(record.config, run_dir="")),
        "versions": record.versions,
        "seconds": record.seconds,
        "evaluations": [{"env_steps": at} | found.summary() for at, found in record.evaluations],
        "absolute": record.absolute
        and {"env_steps": record.absolute_steps} | record.absolute.summary(),
        "curve": record.curve,
    }
    text = json.dumps(plain, separators=(",", ":"))
    part = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # without the time of writing, the same record is the same file
        part.write_bytes(gzip.compress(text.encode(), mtime=0))
        os.replace(part, path)
    except OSError as error:
        raise RunError(
            f"The record {path} cannot be written: {error}. Free some space or fix the "
            "permissions, then run the study again: the run itself is saved."
        ) from error


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        RunError: it is damaged, of a later format, or no record at all.
    """
    try:
        plain = json.loads(gzip.decompress(path.read_bytes()))
        if plain["format"] != FORMAT:
            raise RunError(
                f"{path} has format {plain['format']}, but this version reads {FORMAT}. Update "
                "opspo."
            )
        absolute = plain["absolute"]
        return Record(
            **{name: plain[name] for name in ("study", "group", "task", "line", "seed")},
            config=from_json(json.dumps(plain["settings"])),
            versions=plain["versions"],
            seconds=plain["seconds"],
            evaluations=tuple(
                (row["env_steps"], Evaluation.of_summary(row)) for row in plain["evaluations"]
            ),
            absolute=absolute and Evaluation.of_summary(absolute),
            absolute_steps=absolute["env_steps"] if absolute else 0,
            curve=plain["curve"],
        )
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path} cannot be read as a record: {type(error).__name__}: {error}. Delete it, or "
            "restore it from version control, and run the study again."
        ) from error


def is_finished(run: Run, results: Path) -> bool:
    """Whether a run has its record, made as the study says.

    Raises:
        RunError: as `record_of`.
    """
    return record_of(run, results) is not None


def record_of(run: Run, results: Path) -> Record | None:
    """The record of a run, under the names that the study has now; none if it is not finished.

    Raises:
        RunError: the record is damaged, or was made with other settings; the message names them.
    """
    path = path_of(run, results)
    if not path.is_file():
        return None
    record = read_record(path)
    differing = differences(record.config, run) + _other_protocol(record, run)
    if differing:
        said = "; ".join(change.said("in the record") for change in differing)
        raise RunError(
            f"The record {path} was made with other settings than the study's: {said}. Restore the "
            "study's file, give the changed line another name, or delete the record."
        )
    return dataclasses.replace(record, group=run.group, line=run.line)


def _other_protocol(record: Record, run: Run) -> list[Change]:
    """The episodes of the absolute metric, if there are more or fewer than the study says."""
    if record.absolute is None or "converted" in record.versions:
        return []
    episodes = len(record.absolute.returns)
    found = Change("evaluation.absolute_episodes", episodes, run.absolute_episodes)
    return [found] if episodes != run.absolute_episodes else []


def differences(config: TrainConfig, run: Run) -> list[Change]:
    """The settings that are not the study's, as far as they change what is learned."""
    found = changes(config, run.config)
    return [change for change in found if change.name.partition(".")[0] not in FREE]


def same_but_for_times(one: Path, other: Path) -> bool:
    """Whether two records are of the same run: equal, except for times and machines."""
    parts = [_without_times(json.loads(gzip.decompress(p.read_bytes()))) for p in (one, other)]
    return parts[0] == parts[1]


def _without_times(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in plain.items() if name not in TIMES}


def records_of(folder: Path) -> list[Record]:
    """All records under a folder, by task, line and seed.

    Raises:
        ConfigError: there is none.
        RunError: one cannot be read.
    """
    paths = sorted(folder.rglob(f"*{ENDING}"))
    if not paths:
        raise ConfigError(f"There is no record (*{ENDING}) under {folder}. Run a study first.")
    found = [read_record(path) for path in paths]
    return sorted(found, key=lambda record: (record.task, record.line, record.seed))


def _versions() -> dict[str, Any]:
    found = package_versions()
    packages = {name: found["packages"].get(name) for name in PACKAGES}
    return found | {"packages": {name: value for name, value in packages.items() if value}}


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
