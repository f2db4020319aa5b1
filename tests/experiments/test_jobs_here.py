"""Jobs on this machine and how they end, with processes that only wait or fail."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from opspo.errors import Interrupted, RunError
from opspo.experiments.children import THREADS, launch
from opspo.experiments.local import Processes, run_here, run_jobs
from opspo.experiments.plan import STOPPED

WAITS = "import time; print('up', flush=True); time.sleep(60)"
SAVES = f"""
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit({STOPPED}))
print('up', flush=True); time.sleep(60)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up', flush=True); time.sleep(60)
"""


@pytest.fixture(autouse=True)
def usual_signals():
    """Signals as a terminal leaves them: nohup and a shell's background jobs ignore some."""
    usual = {signal.SIGINT: signal.default_int_handler}
    usual |= dict.fromkeys((signal.SIGTERM, signal.SIGHUP), signal.SIG_DFL)
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@dataclass(frozen=True)
class Scripted:
    """A job that is a line of Python."""

    name: str
    log: Path
    script: str
    steps: int = 1
    done_steps: int = 0

    def command(self, share=()):
        return [sys.executable, "-c", self.script]


def job(folder, script, name="one"):
    return Scripted(name, folder / f"{name}.log", script)


def carried_out(jobs, *, workers=2):
    """What is left of jobs, and what was printed."""
    out = StringIO()
    console = Console(file=out, width=200)
    try:
        return run_here(jobs, workers=workers, console=console, title="[/x]"), out.getvalue()
    except Interrupted as error:
        return error, out.getvalue()


def later(condition, *numbers):
    """Send this process signals once a condition holds, a moment apart."""

    def send():
        until = time.monotonic() + 20
        while not condition() and time.monotonic() < until:
            time.sleep(0.02)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(1.5)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def up(*jobs):
    return lambda: all(each.log.is_file() and "up" in each.log.read_text() for each in jobs)


def test_what_failed_and_what_was_stopped_from_outside_is_left(tmp_path):
    fails = job(tmp_path, "raise SystemExit(3)", "fails")
    stopped = job(tmp_path, f"raise SystemExit({STOPPED})", "stopped")
    left, said = carried_out([job(tmp_path, "", "fine"), fails, stopped])
    assert sorted(each.name for each in left) == ["fails", "stopped"]
    assert "Failed: fails" in said and "Stopped: stopped" in said and "fine" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_is_no_failure_even_of_a_job_without_a_handler(tmp_path, number):
    jobs = [job(tmp_path, WAITS, "imports"), job(tmp_path, SAVES, "saves"), job(tmp_path, "", "x")]
    thread = later(up(*jobs[:2]), number)
    error, said = carried_out(jobs)
    thread.join()
    assert isinstance(error, Interrupted) and "every run is saved" in str(error)
    assert "Failed" not in said and "Stopped:" not in said
    assert not jobs[2].log.exists()  # it had not begun


def test_a_failure_while_stopping_is_told(tmp_path):
    fails = SAVES.replace(str(STOPPED), "1")
    thread = later(up(each := job(tmp_path, fails)), signal.SIGINT)
    error, said = carried_out([each])
    thread.join()
    assert "Failed: one" in said and "1 job failed" in str(error)


def test_a_second_ctrl_c_ends_at_once_and_a_second_hangup_does_not(tmp_path):
    thread = later(up(each := job(tmp_path, DEAF)), signal.SIGINT, signal.SIGINT)
    begin = time.monotonic()
    error, said = carried_out([each])
    thread.join()
    assert "at once" in str(error) and "Failed" not in said
    assert time.monotonic() - begin < 30
    slow = SAVES.replace("lambda *_:", "lambda *_: (time.sleep(2.5), print('saved'))[0] or")
    thread = later(up(each := job(tmp_path, slow, "two")), signal.SIGHUP, signal.SIGHUP)
    error, said = carried_out([each])
    thread.join()
    assert "every run is saved" in str(error) and "saved" in each.log.read_text()


def test_under_nohup_a_hangup_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        each = job(tmp_path, "print('up', flush=True); import time; time.sleep(2)")
        thread = later(up(each), signal.SIGHUP)
        left, _ = carried_out([each])
        thread.join()
        assert left == [] and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_job_starts_unasked_while_others_are_being_stopped(tmp_path, monkeypatch):
    """The stop comes while a process is being started: it waits, and reaches that one too."""
    processes = Processes(1)
    starting, stopper = threading.Event(), threading.Thread(target=processes.stop)
    original = subprocess.Popen

    def slowly(*arguments, **options):
        starting.set()
        stopper.start()
        time.sleep(0.3)
        return original(*arguments, **options)

    monkeypatch.setattr(subprocess, "Popen", slowly)
    begin = time.monotonic()
    assert processes.carry(job(tmp_path, WAITS)) == STOPPED
    assert starting.is_set() and time.monotonic() - begin < 30
    stopper.join()


def test_an_unusable_folder_of_runs_is_told_and_stops_the_others(tmp_path):
    (tmp_path / "file").write_text("")
    lost = Scripted("lost", tmp_path / "file" / "runs" / "lost.log", "")
    begin = time.monotonic()
    with pytest.raises(RunError, match=r"lost.log cannot be written: .*Choose another .* --runs"):
        run_jobs(
            [job(tmp_path, WAITS), lost],
            Processes(2),
            workers=2,
            console=Console(quiet=True),
            title="",
        )
    assert time.monotonic() - begin < 30


def test_threads_are_bounded_by_the_variables_of_jax_and_numpy(tmp_path, monkeypatch):
    monkeypatch.delenv("PJRT_NPROC", raising=False)
    script = f"import os; print([os.environ.get(name) for name in {THREADS!r}])"
    for threads in (3, 0):
        log = tmp_path / f"{threads}.log"
        assert launch([sys.executable, "-c", script], log, threads=threads).wait() == 0
    assert (tmp_path / "3.log").read_text().strip() == str(["3"] * len(THREADS))
    assert "None" in (tmp_path / "0.log").read_text()
