"""Carrying out one job of a study: a run, or several seeds of one that share a program.

    python -m opspo.experiments.job FILE --runs DIR --results DIR NAME [NAME ...]

A job is always a process of its own, whatever started it (`local`, `cluster`, `slurm`). It
continues from whatever it finds: it resumes a run that was stopped, evaluates one that has ended,
and leaves one alone that has its record, but for a film that is missing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from opspo.checkpoint import Checkpoints
from opspo.devices import keep_programs
from opspo.environments import make_env
from opspo.environments.base import runs_on_host
from opspo.errors import ConfigError, EngineError, Interrupted, RunError, TrainingError
from opspo.experiments.children import keep_to, stop_with_parent
from opspo.experiments.grid import Run, folder_of, runs_named
from opspo.experiments.plan import STOPPED, Places, films_left
from opspo.experiments.records import (
    differences,
    film_of,
    is_finished,
    make_record,
    path_of,
    write_record,
)
from opspo.experiments.shared_time import note_alone, note_sharing, seconds_of
from opspo.experiments.study_file import StudyFile, read_study
from opspo.rendering.film import watch
from opspo.run_folder import RunFolder, hold, open_run, read_lines
from opspo.training.evaluate_run import evaluate_run
from opspo.training.resuming import resume
from opspo.training.trainer import train, train_seeds

ABSOLUTE_SEED = 2**20 + 2**19
"""Added to a run's seed for the episodes of the absolute metric, which training never sees"""
FILMED_STEPS = 200
"""Length of a film: a report holds many"""
LOCK_SECONDS = 120
"""How long to wait for a process that is still saving the same run"""


def carry_out(
    file: StudyFile, runs: Sequence[Run], places: Places, check: Callable[[], None]
) -> None:
    """Train, evaluate, record and film runs that differ in their seeds alone.

    Args:
        file: the study.
        runs: of it.
        places: where their files go.
        check: called between two of these steps; it may raise, to stop here.

    Raises:
        ConfigError, RunError, TrainingError, EngineError, Interrupted: as `train`.
    """
    for run in runs:
        _wait_for_others(folder_of(run, places.runs))
    left = [run for run in runs if not is_finished(run, places.results)]
    fresh = [run for run in left if not _has_checkpoint(run, places)]
    if len(fresh) > 1 and not runs_on_host(make_env(fresh[0].task)):
        _train_together(fresh, places)
    for run in left:
        check()
        _train(run, places)
        check()
        _record(run, places)
    for run in films_left(file, runs, places):
        _film(run, places)


def _wait_for_others(folder: Path) -> None:
    """Wait while another process holds a run, such as one whose node was lost and that still saves.

    Raises:
        RunError: it holds it for too long.
    """
    until = time.monotonic() + LOCK_SECONDS
    while folder.is_dir():
        try:
            with hold(RunFolder(folder)):
                return
        except RunError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


def _train_together(runs: Sequence[Run], places: Places) -> None:
    folders = [folder_of(run, places.runs) for run in runs]
    for folder in folders:
        _clear(folder)
    note_sharing(folders, len(runs))
    config = replace(runs[0].config, run_dir=str(folders[0].parent))
    train_seeds(config, [run.seed for run in runs], overwrite=True)


def _train(run: Run, places: Places) -> None:
    """Train a run to its end, from its latest checkpoint if it has one."""
    if _has_ended(run, places):
        return
    folder = folder_of(run, places.runs)
    if _has_checkpoint(run, places):
        note_alone(folder, Checkpoints(RunFolder(folder).checkpoints).iterations()[-1])
        resume(folder)
    else:
        _clear(folder)
        note_alone(folder, 0)
        train(replace(run.config, run_dir=str(folder)))


def _clear(folder: Path) -> None:
    """Delete what an earlier start may have left, which has learned nothing yet.

    Raises:
        RunError: it cannot be deleted.
    """
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise RunError(
            f"{folder} is left from a start that learned nothing, and cannot be deleted: {error}. "
            "Delete it, and run the study again."
        ) from error


def _has_checkpoint(run: Run, places: Places) -> bool:
    """Whether there is something to resume.

    Raises:
        RunError: there is, but with other settings than the study's.
    """
    folder = RunFolder(folder_of(run, places.runs))
    if not folder.config.is_file() or not Checkpoints(folder.checkpoints).iterations():
        return False
    _, config = open_run(folder.path)
    differing = [change.said("there") for change in differences(config, run)]
    if differing:
        raise RunError(
            f"{folder.path} has a run with other settings than the study's: "
            f"{'; '.join(differing)}. Restore the study's file, or delete the folder."
        )
    return True


def _has_ended(run: Run, places: Places) -> bool:
    folder = RunFolder(folder_of(run, places.runs))
    if not folder.config.is_file():
        return False
    iterations = Checkpoints(folder.checkpoints).iterations()
    rows = read_lines(folder.evaluations)
    return bool(
        iterations
        and iterations[-1] == run.config.iterations
        and rows
        and rows[-1]["iteration"] == run.config.iterations
    )


def _record(run: Run, places: Places) -> None:
    """Evaluate a run that has ended, write its record, and drop its checkpoints."""
    folder = RunFolder(folder_of(run, places.runs))
    absolute = evaluate_run(
        folder.path,
        episodes=run.absolute_episodes,
        seed=run.seed + ABSOLUTE_SEED,
        greedy=run.config.evaluation.greedy,
        checkpoint="best",
    )
    record = make_record(run, folder, absolute, _best_steps(folder))
    record = replace(record, seconds=seconds_of(folder.path))
    write_record(record, path_of(run, places.results))
    shutil.rmtree(folder.checkpoints, ignore_errors=True)


def _film(run: Run, places: Places) -> None:
    """Film an episode of the best policy. What keeps it from being filmed is only told: the run has
    its record."""
    out = film_of(run, places.results)
    part = out.with_suffix(f".part{out.suffix}")
    try:
        watch(
            folder_of(run, places.runs),
            part,
            seed=run.seed + ABSOLUTE_SEED,
            checkpoint="best",
            greedy=run.config.evaluation.greedy,
            max_steps=FILMED_STEPS,
        )
        os.replace(part, out)
    except (ConfigError, EngineError, RunError) as error:
        print(f"There is no film: {error}", file=sys.stderr)
    except Exception:  # of whatever draws
        print(f"There is no film:\n{traceback.format_exc()}", file=sys.stderr)
    finally:
        part.unlink(missing_ok=True)


def _best_steps(folder: RunFolder) -> int:
    """Steps after which the best policy was found."""
    best = Checkpoints(folder.best).iterations()[-1]
    rows = [row for row in read_lines(folder.evaluations) if row["iteration"] == best]
    return int(rows[0]["env_steps"])


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the job of a command line; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--cores", default="", help="those that it may use, as in 0,1")
    parser.add_argument("names", nargs="+")
    parsed = parser.parse_args(arguments)
    try:
        with _stoppable() as check:
            stop_with_parent()
            if parsed.cores:
                keep_to([int(core) for core in parsed.cores.split(",")])
            keep_programs()
            file = read_study(parsed.file)
            runs = runs_named(file, parsed.names)
            carry_out(file, runs, Places(parsed.runs, parsed.results), check)
    except Interrupted as error:
        print(error, file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        print("Stopped. What was saved before is untouched.", file=sys.stderr)
        return STOPPED
    except (ConfigError, RunError, TrainingError, EngineError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


@contextmanager
def _stoppable() -> Iterator[Callable[[], None]]:
    """Let SIGTERM stop this process as Ctrl-C does; training has handlers of its own, which save.

    Elsewhere there is nothing to save that is not saved already. The context is a function that
    stops the process if training was asked to, but was at its end and returned.
    """
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)

    def check() -> None:
        with suppress(BlockingIOError):
            if {signal.SIGINT, signal.SIGTERM} & set(ours.recv(64)):
                raise KeyboardInterrupt

    earlier = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield check
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.set_wakeup_fd(earlier)
        ours.close()
        theirs.close()


if __name__ == "__main__":
    sys.exit(main())
