"""Running a study's jobs on a Ray cluster, one plain task each.

A task starts the job's process on its node and waits for it. Where a node is lost, Ray starts the
task again on another, and the job resumes its run from the checkpoint on the shared storage.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opspo.errors import ConfigError, RunError
from opspo.experiments.children import launch
from opspo.experiments.plan import STOPPED, Job

RETRIES = 5
"""Times that a task is started again after its node was lost"""
CONNECT_SECONDS = 5
STOP_SECONDS = 300
"""How long a job may take to save"""


class Cluster:
    """A connection to a Ray cluster, as a context manager."""

    def __init__(self, address: str, *, cpus: int) -> None:
        self.address = address
        self.cpus = cpus
        self._running: set[Any] = set()
        self._stopped = False
        self._lock = threading.Lock()

    def __enter__(self) -> Cluster:
        """Connect.

        Raises:
            ConfigError: Ray is not installed, or the cluster cannot be reached.
        """
        try:
            import ray  # noqa: PLC0415
        except ImportError as error:
            raise ConfigError(
                "--ray needs Ray, which is not installed: pip install 'opspo[ray]'"
            ) from error
        _check_reachable(self.address)
        try:
            ray.init(address=self.address, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise _unreachable(self.address, error) from error
        return self

    def __exit__(self, *exception: object) -> None:
        """Disconnect from the cluster."""
        import ray  # noqa: PLC0415

        ray.shutdown()

    def carry(self, job: Job) -> int:
        """Carry out a job on some node; return its exit status."""
        import ray  # noqa: PLC0415

        task = ray.remote(num_cpus=self.cpus, max_calls=1, max_retries=RETRIES)(carry_out)
        with self._lock:
            if self._stopped:
                return STOPPED
            # without the interpreter: each node has its own
            reference = task.remote(job.command()[1:], str(job.log.absolute()), self.cpus)
            self._running.add(reference)
        try:
            return int(ray.get(reference))
        except ray.exceptions.TaskCancelledError:
            return STOPPED
        except ray.exceptions.RayError as error:
            if self._stopped:
                return STOPPED
            _note(job.log, f"Ray could not carry out the job: {error}\n")
            return 1
        finally:
            with self._lock:
                self._running.discard(reference)

    def stop(self) -> None:
        """Ask all jobs to save and stop."""
        self._cancel(force=False)

    def kill(self) -> None:
        """End all jobs at once."""
        self._cancel(force=True)

    def _cancel(self, *, force: bool) -> None:
        import ray  # noqa: PLC0415

        with self._lock:
            self._stopped = True
            running = list(self._running)
        for reference in running:
            ray.cancel(reference, force=force)


def _note(log: Path, text: str) -> None:
    """Write into a job's log.

    Raises:
        RunError: it cannot be written.
    """
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as file:
            file.write(text)
    except OSError as error:
        raise RunError(f"{text}And the log {log} cannot be written: {error}.") from error


def _check_reachable(address: str) -> None:
    """Try the port first: Ray itself waits for minutes.

    Raises:
        ConfigError: nobody answers there.
    """
    host, found, port = address.rpartition(":")
    if not found or "//" in address or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"--ray {address}: no Ray cluster can be reached there: {error}. Start one with "
        "`ray start --head`, and give the address that it prints."
    )


def carry_out(command: Sequence[str], log: str, cpus: int) -> int:
    """Run a job's process on this node, with as many threads as it has cores; its exit status.

    It is not kept to certain cores: Ray counts cores, and does not say which of them are free.
    """
    process = launch([sys.executable, *command], Path(log), threads=cpus)
    try:
        return process.wait()
    except KeyboardInterrupt:  # how Ray cancels a task
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        return STOPPED
