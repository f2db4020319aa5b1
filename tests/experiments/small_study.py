"""A small study, and made-up records of it."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from opspo.evaluate import Evaluation
from opspo.experiments.grid import Run, runs_of
from opspo.experiments.records import Record, path_of, write_record
from opspo.experiments.study_file import StudyFile, parse

TEXT = """\
name = "small"
algorithms = ["mappo", "opspo"]
seeds = "0..1"
steps = 512

[settings]
"rollout.num_envs" = 8
"rollout.num_steps" = 16
"policy.hidden_sizes" = [8]

[evaluation]
times = 2
episodes = 4
absolute_episodes = 8

[[groups]]
name = "probes"
tasks = ["probe/credit", "probe/memory"]
"""


FIVE_SEEDS = TEXT.replace('"0..1"', '"0..4"')
WITH_A_PARTIAL_LINE = f"""{TEXT}
[[variants]]
name = "low clip"
algorithms = ["mappo"]
tasks = ["probe/memory"]
settings."algorithm.clip" = 0.1
"""


def study_at(folder: Path, text: str = TEXT) -> StudyFile:
    """The study, in a file of its own."""
    path = folder / "small.toml"
    path.write_text(text)
    return parse(text, path)


def made_up(run: Run, *, skill: float) -> Record:
    """A record whose returns are about `skill`, with noise of its task, line and seed."""
    rng = np.random.default_rng([run.seed, zlib.crc32(f"{run.line} {run.task}".encode())])

    def evaluation(level: float, episodes: int) -> Evaluation:
        returns = tuple(float(x) for x in level + 0.01 * rng.normal(size=episodes))
        return Evaluation(returns=returns, lengths=(3,) * episodes, wins=None)

    return Record(
        study=run.study,
        group=run.group,
        task=run.task,
        line=run.line,
        seed=run.seed,
        config=run.config,
        versions={"python": "3", "machine": {"cores": 2}, "git_commit": "abc", "packages": {}},
        seconds=60.0,
        evaluations=((256, evaluation(skill / 2, 4)), (512, evaluation(skill, 4))),
        absolute=evaluation(skill, 8),
        absolute_steps=512,
        curve={"env_steps": [128, 256, 384, 512], "entropy": [1.0, 0.9, 0.8, 0.7]},
    )


def write_all(file: StudyFile, results: Path, *, skills: dict[str, float]) -> list[Record]:
    """Records of every run, each line with its skill."""
    found = []
    for run in runs_of(file):
        found.append(made_up(run, skill=skills[run.line]))
        write_record(found[-1], path_of(run, results))
    return found


def not_evaluated(record: Record) -> Record:
    """The record of a run of an early version, which has a training curve alone."""
    return replace(record, evaluations=(), absolute=None, absolute_steps=0)
