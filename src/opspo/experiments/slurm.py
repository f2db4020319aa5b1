"""Running a study's jobs as a SLURM job array, through submitit.

Before the end of the allocation, or when SLURM takes the node away, submitit is sent a signal: the
job saves, and is queued again.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from opspo.errors import ConfigError, Interrupted
from opspo.experiments.children import launch
from opspo.experiments.plan import Job, counted
from opspo.run_folder import make_folder

SIGNAL_SECONDS = 120
"""How long before the end of the allocation the signal comes"""
POLL_SECONDS = 0.2
RESTARTS = 1000
"""Times that a job may run out of time and be queued again"""


@dataclass
class Queued:
    """A job in the queue: what submitit calls, and asks for a checkpoint."""

    command: tuple[str, ...]
    log: str
    cpus: int = 1
    _process: Any = None

    def __call__(self) -> int:
        """Run the job's process; return its exit status."""
        self._process = launch([sys.executable, *self.command], Path(self.log), threads=self.cpus)
        return self._wait()

    def checkpoint(self) -> Any:
        """Let the process save, and return what is to be queued again."""
        from submitit.helpers import DelayedSubmission  # noqa: PLC0415

        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._wait()
        return DelayedSubmission(Queued(self.command, self.log, self.cpus))

    def _wait(self) -> int:
        # not `wait`: it holds a lock, and `checkpoint` interrupts it
        while (status := self._process.poll()) is None:
            time.sleep(POLL_SECONDS)
        return int(status)


def queue(
    jobs: Sequence[Job],
    *,
    minutes: int,
    partition: str = "",
    cpus: int = 1,
    at_a_time: int = 0,
    cluster: str = "slurm",
) -> list[Any]:
    """Queue jobs as an array.

    Args:
        jobs: at least one.
        minutes: time limit of each.
        partition: SLURM's; "" for its default.
        cpus: cores of each.
        at_a_time: how many may run at a time; 0 for no limit.
        cluster: submitit's name of the executor.

    Returns:
        submitit's job of each.

    Raises:
        ConfigError: submitit is not installed, or there is no SLURM.
        RunError: the folder for its files cannot be written.
    """
    executor = _executor(_folder(jobs), cluster)
    parameters: dict[str, Any] = {
        "timeout_min": minutes,
        "cpus_per_task": cpus,
        "slurm_array_parallelism": at_a_time or len(jobs),
        "slurm_signal_delay_s": SIGNAL_SECONDS,
    }
    if partition:
        parameters["slurm_partition"] = partition
    executor.update_parameters(**parameters)
    with executor.batch():  # one array; each callable is asked for its own checkpoint
        return [
            executor.submit(Queued(tuple(job.command()[1:]), str(job.log.absolute()), cpus))
            for job in jobs
        ]


def _executor(folder: Path, cluster: str) -> Any:
    if cluster == "slurm" and shutil.which("sbatch") is None:
        raise ConfigError(
            "--slurm: there is no `sbatch` here. Run this on a login node of the cluster."
        )
    try:
        import submitit  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            "--slurm needs submitit, which is not installed: pip install 'opspo[slurm]'"
        ) from error
    make_folder(folder, advice="Choose another folder with --runs.")
    return submitit.AutoExecutor(folder=folder, cluster=cluster, slurm_max_num_timeout=RESTARTS)


def wait_for(jobs: Sequence[Job], queued: Sequence[Any], console: Console) -> list[Job]:
    """Wait for queued jobs, and return those that failed or were stopped.

    Raises:
        Interrupted: by Ctrl-C; the jobs stay in the queue.
    """
    console.print(f"Queued {counted(len(queued), 'job')}; see {_folder(jobs)}/", markup=False)
    try:
        return [job for job, each in zip(jobs, queued, strict=True) if not _succeeded(each)]
    except KeyboardInterrupt as error:
        array = str(queued[0].job_id).partition("_")[0]
        raise Interrupted(
            f"No longer waiting. The jobs stay in the queue: end them with `scancel {array}`."
        ) from error


def _folder(jobs: Sequence[Job]) -> Path:
    return jobs[0].places.runs / jobs[0].file.study.name / "slurm"


def _succeeded(queued: Any) -> bool:
    try:
        return bool(queued.result() == 0)
    except Exception:  # submitit raises its own for whatever ended the job
        return False
