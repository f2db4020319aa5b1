"""Running a study's jobs on this machine, some at a time."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from opspo.errors import Interrupted
from opspo.experiments.children import launch, shares
from opspo.experiments.plan import STOPPED, Job

Carry = Callable[[Job], int]
"""Carries out a job, in whatever place, and returns its exit status"""


@dataclass
class Processes:
    """The processes of jobs on this machine, each with its share of the cores."""

    workers: int
    _free: queue.SimpleQueue[list[int]] = field(default_factory=queue.SimpleQueue)
    _running: set[subprocess.Popen[Any]] = field(default_factory=set)
    _stopped: bool = False

    def __post_init__(self) -> None:
        for share in shares(self.workers):
            self._free.put(share)

    def carry(self, job: Job) -> int:
        """Start a job's process and wait for its end."""
        if self._stopped:
            return STOPPED
        share = self._free.get()
        try:
            with start(job, share) as process:
                self._running.add(process)
                status = process.wait()
                self._running.discard(process)
                return status
        finally:
            self._free.put(share)

    def stop(self) -> None:
        """Ask all of them to save and stop."""
        self._stopped = True
        for process in list(self._running):
            process.send_signal(signal.SIGTERM)


def start(job: Job, share: Sequence[int] = ()) -> subprocess.Popen[Any]:
    """Start a job's process, away from this terminal's signals."""
    away = {"stdin": subprocess.DEVNULL, "start_new_session": True}
    return launch(job.command(share), job.log, **away)


def run_here(jobs: Sequence[Job], *, workers: int, console: Console, title: str) -> list[Job]:
    """Carry out jobs on this machine; see `run_jobs`."""
    processes = Processes(workers)
    return run_jobs(
        jobs,
        processes.carry,
        workers=workers,
        stop=processes.stop,
        console=console,
        title=title,
    )


def run_jobs(
    jobs: Sequence[Job],
    carry: Carry,
    *,
    workers: int,
    stop: Callable[[], None],
    console: Console,
    title: str,
) -> list[Job]:
    """Carry out jobs, `workers` at a time, with progress; failures stop no others.

    Args:
        jobs: in the order in which they begin.
        carry: carries one out.
        workers: how many at a time.
        stop: asks those that are running to save and stop.
        console: where progress is shown.
        title: of the progress bar.

    Returns:
        The jobs that failed.

    Raises:
        Interrupted: by Ctrl-C or SIGTERM, once all jobs have saved.
    """
    failed: list[Job] = []
    with _asked_to_stop() as stopped, _bar(console) as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task(title, total=sum(job.steps for job in jobs), shown="")
        running: dict[Future[int], Job] = {pool.submit(carry, job): job for job in jobs}
        left = set(running)
        said = False
        while left:
            ended, left = wait(left, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ended:
                job, status = running[future], future.result()
                if status not in (0, STOPPED):
                    failed.append(job)
                    console.print(f"Failed: {job.name}", markup=False, highlight=False)
            if stopped.is_set() and not said:
                said = True
                console.print("Stopping: each run saves after its present iteration.")
                stop()
            done = sum(job.done_steps for job in jobs)
            count = len(jobs) - len(left)
            bar.update(task, completed=done, shown=f"{count} of {len(jobs)} jobs")
    if stopped.is_set():
        raise Interrupted("Stopped; every run is saved. Run the same command to continue.")
    return failed


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[shown]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
    )


@contextmanager
def _asked_to_stop() -> Any:
    """A flag that Ctrl-C and SIGTERM set."""
    flag = threading.Event()
    old = {
        number: signal.signal(number, lambda *_: flag.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield flag
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
