"""One joint environment, in this process or in its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from opspo.environments.frames import told
from opspo.errors import EngineError, WorkerFailure

Make = Callable[[], gymnasium.Env]
"""() → a joint environment. A worker process makes its own, and this process makes one more to read
the sizes, so the engine should not start before the first reset"""
Seen = Mapping[str, Any]

MOST_DEATHS = 3
"""A worker that dies this often without finishing an episode is not restarted"""
PATIENCE = 300.0
"""Seconds without an answer after which a worker counts as dead"""
GRACE = 5.0
"""Seconds that a worker then has to close its engine"""


class Outcome(NamedTuple):
    """One environment's answer to a joint action."""

    seen: Seen
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]
    following: Seen
    """The first observation of a new episode if this one ended, else `seen`"""
    lost: bool = False


class Runner(Protocol):
    """One environment of a batch. Calls come in pairs, so that all environments work in parallel
    between the two."""

    def begin(self, seed: int) -> None:
        """Ask for the first episode."""

    def first(self) -> Seen:
        """Its first observation."""

    def send(self, action: np.ndarray) -> None:
        """Ask for a step with a joint action, [N] or [N, D]."""

    def receive(self) -> Outcome:
        """The outcome of that step; an episode that ended restarts."""

    def close(self) -> None:
        """Stop the environment."""


class Here:
    """A joint environment in this process."""

    def __init__(self, make: Make) -> None:
        self._environment = make()
        self._pending: Any = None

    def begin(self, seed: int) -> None:
        """Keep the seed for `first`."""
        self._pending = seed

    def first(self) -> Seen:
        """Reset the environment with the seed from `begin`."""
        return self._environment.reset(seed=self._pending)[0]

    def send(self, action: np.ndarray) -> None:
        """Keep the action for `receive`."""
        self._pending = action

    def receive(self) -> Outcome:
        """Step the environment with the action from `send`."""
        seen, reward, terminated, truncated, info = self._environment.step(self._pending)
        following = seen
        if terminated or truncated:
            seen = _copied(seen)
            following = self._environment.reset()[0]
        return Outcome(seen, float(reward), terminated, truncated, info, following)

    def close(self) -> None:
        """Close the environment."""
        self._environment.close()


class Worker:
    """A joint environment in its own process, which is restarted when it dies."""

    def __init__(self, make: Make) -> None:
        self._make = partial(_made_in_worker, make, os.getpid())
        self._process: Any = None
        self._failure: Exception | None = None
        """Why the last request could not be sent"""
        self._busy = False
        self._seeds = np.random.SeedSequence(0)
        self._seen: Seen = {}
        self._deaths = 0
        """Since it last finished an episode"""

    def begin(self, seed: int) -> None:
        """Start the process; the seeds after any restart derive from this one."""
        self._seeds = np.random.SeedSequence(seed)
        try:
            self._start(seed)
        except Exception as error:
            self._failure = error

    def first(self) -> Seen:
        """Wait for the first observation."""
        try:
            self._seen = self._first()
        except Exception as error:
            self._seen = self._start_again(error)
        return self._seen

    def send(self, action: np.ndarray) -> None:
        """Send the action; the worker starts immediately."""
        self._busy = True
        try:
            self._process.step_async(action[None])
        except Exception as error:
            self._failure = error

    def receive(self) -> Outcome:
        """Wait for the worker; if it died, its episode is lost and a new one begins.

        Raises:
            EngineError: it has died `MOST_DEATHS` times without finishing an episode.
        """
        try:
            seen, reward, terminated, truncated, info = self._answer(AsyncVectorEnv.step_wait)
        except Exception as error:
            before, self._seen = self._seen, self._start_again(error)
            return Outcome(before, 0.0, False, True, {}, self._seen, lost=True)
        self._seen = last = _only(seen)
        about: Mapping[str, Any] = {}
        ended = bool(terminated[0]), bool(truncated[0])
        if any(ended):
            self._deaths, last, about = 0, info["final_obs"][0], _only(info["final_info"])
        return Outcome(last, float(reward[0]), *ended, about, self._seen)

    def close(self) -> None:
        """Stop the process."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if self._busy:
                raise TimeoutError
            process.close(timeout=GRACE)
        except Exception:  # it is dead or busy
            _end(process)

    def _start(self, seed: int) -> None:
        multiprocessing.set_forkserver_preload([__name__])
        # a process that starts the next episode by itself saves a round trip
        self._process = AsyncVectorEnv(
            [self._make], context="forkserver", autoreset_mode=AutoresetMode.SAME_STEP
        )
        self._busy = True
        self._process.reset_async(seed=seed)

    def _first(self) -> Seen:
        return _only(self._answer(AsyncVectorEnv.reset_wait)[0])

    def _answer(self, wait: Callable[..., Any]) -> Any:
        """The worker's answer; raises whatever prevented it."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        answer = wait(self._process, timeout=PATIENCE)
        self._busy = False
        return answer

    def _start_again(self, error: Exception) -> Seen:
        """Restart the process; return its first observation.

        Raises:
            EngineError: it has died too often.
        """
        while True:
            self._deaths += 1
            if self._process is not None:
                _end(self._process)
                self._process = None
            if self._deaths >= MOST_DEATHS:
                raise EngineError(
                    f"An environment's worker died {self._deaths} times without finishing an "
                    f"episode in between. The last time:\n{_reason(error)}"
                ) from error
            (seed,) = self._seeds.spawn(1)[0].generate_state(1)
            try:
                self._start(int(seed) % 2**31)
                return self._first()
            except Exception as another:
                error = another


def _end(vector: AsyncVectorEnv) -> None:
    """End a worker that is dead or busy, after a moment for it to close its engine."""
    vector.closed = True
    for process in vector.processes:
        process.terminate()
        process.join(GRACE)
        if process.is_alive():
            process.kill()
            process.join()
    for pipe in vector.parent_pipes:
        if pipe is not None:
            pipe.close()


def _copied(seen: Seen) -> Seen:
    """A copy of a last observation: the engine may write the next first one into its arrays."""
    return {name: np.array(values) for name, values in seen.items()}


class _InWorker(gymnasium.Wrapper):
    """Adds the traceback to whatever an environment raises in a worker, and copies true ends."""

    def reset(self, **arguments: Any) -> Any:
        """Reset the environment."""
        return self._tried(self.env.reset, **arguments)

    def step(self, action: Any) -> Any:
        """Step the environment; a last observation is copied, since the worker then resets."""
        seen, reward, terminated, truncated, info = self._tried(self.env.step, action)
        if terminated or truncated:
            seen = _copied(seen)
        return seen, reward, terminated, truncated, info

    def _tried(self, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, **named)
        except Exception:
            raise WorkerFailure(traceback.format_exc()) from None


def _made_in_worker(make: Make, trainer: int) -> gymnasium.Env:
    """Make the environment: in the worker, and once in the trainer's process for the sizes."""
    if os.getpid() != trainer:
        # Ctrl-C reaches the workers too; the trainer finishes its iteration with them
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # exit normally so that the engine is closed; a separate game process would keep running
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    return _InWorker(make())


def _reason(error: Exception) -> str:
    """The worker's traceback, or whatever else is known."""
    if isinstance(error, WorkerFailure):
        return told(error)
    if isinstance(error, multiprocessing.TimeoutError):
        return f"it did not answer within {PATIENCE:.0f} seconds"
    return (
        f"its process ended without an error message ({type(error).__name__}). A script of your "
        'own must keep what it runs under `if __name__ == "__main__":`, since workers import it.'
    )


def _only(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The only row of a batch of one."""
    return {name: values[0] for name, values in batch.items()}
