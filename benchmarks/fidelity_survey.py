"""The survey of fidelity: estimators at three checkpoints of each task, at two drifts.

    python benchmarks/fidelity_survey.py [TASK ...] [--when early ...]   # by default all

HAPPO trains for a million steps on each task (300,000 on the two largest). Its checkpoints after a
tenth, a half and nine tenths of them are measured, at the last stage of an update: the last
agent's, or with shared parameters that of the last block. What was measured goes to
results/fidelity/; what is there is not measured again.
`make results` makes the tables of docs/survey.md from it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opspo.config import TrainConfig

RESULTS = Path(__file__).parent.parent / "results" / "fidelity"
RUNS = Path("runs") / "fidelity"
CHECKPOINTS = {"early": 0.1, "middle": 0.5, "late": 0.9}
"""Name → share of the steps"""
NOT_MEASURED = (
    "AEC, SDC linear",
    "AEC, w = clip(r)",
    "GAE, w = min(r, ESS)",
    "GAE, λ = 0.6",
    "doubly robust",
)
"""Default candidates that are left out"""


@dataclass(frozen=True)
class Task:
    """A task, and how its agents' parameters are."""

    env: str
    shared: bool
    steps: int = 1_000_000
    reference_steps: int = 400_000


TASKS = {
    "3s5z": Task("smax/3s5z", shared=True),
    "3s5z, separate": Task("smax/3s5z", shared=False),
    "10m_vs_11m": Task("smax/10m_vs_11m", shared=True),
    "10m_vs_11m, separate": Task("smax/10m_vs_11m", shared=False),
    "27m_vs_30m": Task("smax/27m_vs_30m", shared=True, steps=300_000),
    "HalfCheetah-6x1": Task("mamujoco/HalfCheetah-6x1", shared=False, reference_steps=1_000_000),
    "Walker2d-6x1": Task("mamujoco/Walker2d-6x1", shared=False, reference_steps=1_000_000),
    "Ant-8x1": Task("mamujoco/Ant-8x1", shared=False, reference_steps=1_000_000),
    "Humanoid-9|8": Task("mamujoco/Humanoid-9|8", shared=False),
    "Humanoid-17x1": Task("mamujoco/Humanoid-17x1", shared=False, steps=300_000),
}


def slug(name: str) -> str:
    """A name as a file's."""
    return "".join(c if c.isalnum() or c in "_-" else "-" for c in name)


def trained(name: str, task: Task) -> Path:
    """The task's run, trained if need be."""
    import opspo

    folder = RUNS / slug(name)
    if (folder / "done").is_file():
        return folder
    config = opspo.default_config(task.env, "happo")
    iterations = -(-task.steps // config.steps_per_iteration)
    config = replace(
        config,
        run_dir=str(folder),
        total_steps=task.steps,
        tensorboard=False,
        policy=replace(config.policy, share_parameters=task.shared),
        evaluation=replace(config.evaluation, every_steps=0, final_episodes=0),
        checkpoint=replace(
            config.checkpoint,
            every_steps=iterations // 10 * config.steps_per_iteration,
            keep=20,
        ),
    )
    opspo.train(config, overwrite=True)
    (folder / "done").touch()
    return folder


def measured(name: str, folder: Path, when: str) -> None:
    """Measure a checkpoint, unless that was done."""
    import opspo
    from opspo.checkpoint import Checkpoints
    from opspo.fidelity.candidates import candidates
    from opspo.run_folder import open_run

    out = RESULTS / f"{slug(name)}-{when}.json.gz"
    if out.is_file():
        return
    saved = Checkpoints(folder / "checkpoints")
    wanted = CHECKPOINTS[when] * saved.iterations()[-1]
    checkpoint = min(saved.iterations(), key=lambda each: abs(each - wanted))
    config = open_run(folder)[1]
    extent = opspo.Extent(
        updates=(1, 4),
        stages=(_last_stage(config),),
        batches=40,
        own_batches=20,
        most_steps=TASKS[name].reference_steps,
    )
    chosen = {key: each for key, each in candidates(config).items() if key not in NOT_MEASURED}
    found: dict[str, Any] = opspo.measure_fidelity(
        folder, checkpoint=checkpoint, chosen=chosen, extent=extent, seed=0
    ) | {"task": name, "when": when}
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    part.write_bytes(gzip.compress(json.dumps(found).encode(), mtime=0))
    shutil.move(part, out)
    print(out, flush=True)


def _last_stage(config: TrainConfig) -> int:
    from opspo.environments import make_env
    from opspo.fidelity.drift import stages_of
    from opspo.training.assembly import make_learner

    return stages_of(make_learner(config, make_env(config.env)))[-1]


def main() -> None:
    """Carry out the survey, or a part of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--when", nargs="*", choices=list(CHECKPOINTS), default=list(CHECKPOINTS))
    parsed = parser.parse_args()
    from opspo.devices import keep_programs

    keep_programs()
    for name in parsed.tasks:
        for when in parsed.when:
            if not (RESULTS / f"{slug(name)}-{when}.json.gz").is_file():
                measured(name, trained(name, TASKS[name]), when)


if __name__ == "__main__":
    main()
