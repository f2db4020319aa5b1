"""Running a study's jobs on this machine, some at a time."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from opspo.errors import Interrupted
from opspo.experiments.children import launch, shares
from opspo.experiments.plan import STOPPED, Job, counted


class Place(Protocol):
    """Where jobs are carried out."""

    def carry(self, job: Job) -> int:
        """Carry out a job; return its exit status, STOPPED if it was asked to stop."""

    def stop(self) -> None:
        """Ask all jobs to save and stop, and start no others."""

    def kill(self) -> None:
        """End all jobs at once, and start no others."""


@dataclass
class Processes:
    """The processes of jobs on this machine, each with its share of the cores."""

    workers: int
    _free: queue.SimpleQueue[list[int]] = field(default_factory=queue.SimpleQueue)
    _running: set[subprocess.Popen[Any]] = field(default_factory=set)
    _sent: set[int] = field(default_factory=set)
    """Signals that all processes were sent; without any, others may start"""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for share in shares(self.workers):
            self._free.put(share)

    def carry(self, job: Job) -> int:
        """Start a job's process and wait for its end.

        Raises:
            RunError: its log cannot be written.
        """
        share = self._free.get()
        try:
            with self._lock:  # what starts after `stop` would never be asked
                if self._sent:
                    return STOPPED
                process = start(job, share)
                self._running.add(process)
            status = process.wait()
            with self._lock:
                self._running.discard(process)
            # a process that still imports has no handler, and nothing to save
            return STOPPED if -status in self._sent else status
        finally:
            self._free.put(share)

    def stop(self) -> None:
        """Ask all of them to save and stop."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End all of them at once; what was saved before is untouched."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        with self._lock:
            self._sent.add(number)
            for process in self._running:
                process.send_signal(number)


def start(job: Job, share: Sequence[int] = ()) -> subprocess.Popen[Any]:
    """Start a job's process, away from this terminal's signals.

    Raises:
        RunError: its log cannot be written.
    """
    away = {"stdin": subprocess.DEVNULL, "start_new_session": True}
    return launch(job.command(share), job.log, **away)


def run_here(jobs: Sequence[Job], *, workers: int, console: Console, title: str) -> list[Job]:
    """Carry out jobs on this machine; see `run_jobs`."""
    return run_jobs(jobs, Processes(workers), workers=workers, console=console, title=title)


def run_jobs(
    jobs: Sequence[Job], place: Place, *, workers: int, console: Console, title: str
) -> list[Job]:
    """Carry out jobs, `workers` at a time, with progress; failures stop no others.

    Args:
        jobs: in the order in which they begin.
        place: carries them out.
        workers: how many at a time.
        console: where progress is shown.
        title: of the progress bar.

    Returns:
        The jobs that failed, or that somebody else stopped.

    Raises:
        Interrupted: by Ctrl-C, SIGTERM or SIGHUP, once all jobs have saved; by a second Ctrl-C, at
            once.
        RunError: a job's log cannot be written.
    """
    unfinished: list[Job] = []
    failed = 0
    with _asked_to_stop() as asked, _bar(console) as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task(title, total=sum(job.steps for job in jobs), shown="")
        running: dict[Future[int], Job] = {pool.submit(place.carry, job): job for job in jobs}
        left, heard = set(running), 0
        try:
            while left:
                ended, left = wait(left, timeout=1.0, return_when=FIRST_COMPLETED)
                for job, status in ((running[each], each.result()) for each in ended):
                    failed += status not in (0, STOPPED)
                    if status == 0 or (asked() and status == STOPPED):
                        continue
                    unfinished.append(job)
                    what = "Stopped" if status == STOPPED else "Failed"
                    console.print(f"{what}: {job.name}", markup=False, highlight=False)
                heard = _pass_on(heard, asked(), place, console)
                done = sum(job.done_steps for job in jobs)
                count = f"{len(jobs) - len(left)} of {len(jobs)} jobs"
                bar.update(task, completed=done, shown=count)
        except BaseException:  # leaving the pool waits for all jobs
            place.stop()
            raise
    if asked():
        raise Interrupted(_how_it_stopped(failed, at_once=asked() > 1))
    return unfinished


def _pass_on(heard: int, asked: int, place: Place, console: Console) -> int:
    """Stop or kill the jobs, if that was asked for and is new; return what is heard now."""
    if asked > heard:
        if asked == 1:
            place.stop()
            said = "Stopping: each run saves after its present iteration. Ctrl-C again stops now."
        else:
            place.kill()
            said = "Stopping at once."
        console.print(said, markup=False, highlight=False)
    return asked


def _how_it_stopped(failed: int, *, at_once: bool) -> str:
    again = "Run the same command to continue."
    if failed:
        jobs = counted(failed, "job")
        return f"Stopped; {jobs} failed, as said above, and every other run is saved. {again}"
    if at_once:
        return f"Stopped at once; every run has its last checkpoint. {again}"
    return f"Stopped; every run is saved. {again}"


def _bar(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[shown]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        console=console,
    )


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], int]]:
    """How often it was asked to stop: 1 after Ctrl-C, SIGTERM or SIGHUP, 2 after a second Ctrl-C.

    A signal that was ignored before, such as SIGHUP under nohup, stays ignored.
    """
    asked = 0

    def handler(number: int, frame: object) -> None:
        nonlocal asked
        # a closed terminal sends SIGHUP twice: only a key pressed again means at once
        asked = 2 if asked and number == signal.SIGINT else max(asked, 1)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    old = {number: signal.signal(number, handler) for number in heard}
    try:
        yield lambda: asked
    finally:
        for number, before in old.items():
            signal.signal(number, before)
