"""The training loop, from given states to the end of their runs: iterate, log, evaluate, save."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from opspo.devices import on_host
from opspo.environments.frames import told
from opspo.errors import ConfigError, EngineError, Interrupted, RunError, TrainingError
from opspo.evaluate import Evaluation, make_evaluator
from opspo.training.iteration import Iteration, ready, ready_together
from opspo.training.learner import Learner
from opspo.training.metrics import metrics_row, progress_bars
from opspo.training.recorder import Recorder
from opspo.types import TrainState

EVALUATION_SEED = 2**20
"""Added to the run's seed for evaluations during training, which all play the same episodes."""


@dataclass(frozen=True)
class Result:
    """The result of a finished run."""

    run_dir: Path
    env_steps: int
    evaluation: Evaluation | None
    """The final evaluation; None if the configuration asks for none"""


class Training:
    """One process's part in training one run, or several that differ only in their seeds.

    There is always one program: the iteration of a single run, or of all stacked states.
    """

    def __init__(
        self,
        learner: Learner,
        members: Sequence[Recorder],
        console: Console,
        stopped: Callable[[], bool],
    ) -> None:
        self.config = learner.config
        """The settings that members share; each has its own seed and folder"""
        self.learner = learner
        self.members = members
        self.console = console
        self.stopped = stopped

    def go(self, states: Sequence[TrainState]) -> list[Result]:
        """Train each member from its state to the end, then evaluate it."""
        done, alone = int(states[0].iteration), len(states) == 1
        with ExitStack() as stack:
            bars = stack.enter_context(progress_bars(self.console))
            for member in self.members:
                name = "steps" if alone else f"seed {member.config.seed}"
                stack.enter_context(member.open(bars, name=name, done=done))
            state = self._run(states, done)
            self._save(state)
            evaluations = self._final_evaluations(state)
        steps = self.config.iterations * self.config.steps_per_iteration
        return [
            Result(member.folder.path, steps, evaluation)
            for member, evaluation in zip(self.members, evaluations, strict=True)
        ]

    def _run(self, states: Sequence[TrainState], done: int) -> TrainState:
        """Run the remaining iterations."""
        program = (
            ready(self.learner, states[0])
            if len(states) == 1
            else nullcontext(ready_together(self.learner, states))
        )
        with ExitStack() as stack:
            with self._saved_if_it_fails("The start", states, learned=False):
                state, iterate = stack.enter_context(program)
            return self._loop(iterate, state, done)

    def _loop(self, iterate: Iteration, state: TrainState, done: int) -> TrainState:
        config = self.config
        evaluator = self._evaluator(config.evaluation.episodes)
        begin = last = time.perf_counter()
        for iteration in range(done + 1, config.iterations + 1):
            # a process that is asked to stop stops all: the others would wait for it for ever
            if on_host(np.array([self.stopped()])).any():
                self._interrupt(state)
            learned = iteration > done + 1
            with self._saved_if_it_fails(f"Iteration {iteration}", state, learned=learned):
                new, metrics = iterate(state)
                each = self._parts(metrics)
            state = new
            with self._saved_if_it_fails(f"What follows iteration {iteration}", state):
                now = time.perf_counter()
                self._log(each, iteration, seconds=now - begin, last_seconds=now - last)
                self._check(state, each, iteration)
                if self._due(iteration, config.evaluation.every_steps):
                    self._evaluate(evaluator, EVALUATION_SEED, state)
                if self._due(iteration, config.checkpoint.every_steps):
                    self._save(state)
            last = time.perf_counter()
        return state

    def _parts(self, tree: Any) -> list[Any]:
        """The part of each member, as NumPy."""
        tree = on_host(tree)
        if len(self.members) == 1:
            return [tree]
        return [jax.tree.map(lambda x, i=i: x[i], tree) for i in range(len(self.members))]

    def _log(self, each: list[Any], iteration: int, *, seconds: float, last_seconds: float) -> None:
        """Log an iteration's metrics for the members without faults."""
        config = self.config
        for member, metrics in zip(self.members, each, strict=True):
            if _broken(metrics):
                continue
            row = metrics_row(
                metrics,
                iteration=iteration,
                env_steps=iteration * config.steps_per_iteration,
                wall_seconds=member.earlier_seconds + seconds,
                steps_per_second=config.steps_per_iteration / last_seconds,
                has_win=self.learner.environment.spec.has_win,
            )
            member.log.iteration(row)

    def _due(self, iteration: int, every_steps: int) -> bool:
        """Whether this iteration passed a multiple of `every_steps`."""
        if every_steps == 0:
            return False
        steps = self.config.steps_per_iteration
        return iteration * steps // every_steps > (iteration - 1) * steps // every_steps

    def _evaluator(self, episodes: int) -> Callable[[Any, int], Evaluation]:
        return make_evaluator(
            self.learner.environment,
            self.learner.team,
            episodes=episodes,
            greedy=self.config.evaluation.greedy,
            episode_limit=self.config.evaluation.episode_limit,
        )

    def _evaluate(
        self, evaluator: Callable[[Any, int], Evaluation], offset: int, state: TrainState
    ) -> list[Evaluation]:
        """Play episodes with each member, with its own seed plus an offset."""
        evaluations = []
        for member, part in zip(self.members, self._parts(state), strict=True):
            seed = member.config.seed + offset
            with self._saved_if_it_fails("An evaluation", state):
                evaluation = evaluator(part.actor, seed)
            self._check_returns(member, evaluation, state)
            member.evaluated(evaluation, seed=seed, state=part)
            evaluations.append(evaluation)
        return evaluations

    def _final_evaluations(self, state: TrainState) -> Sequence[Evaluation | None]:
        """The evaluations at the end, unless they were done before."""
        config = self.config.evaluation
        if config.at_end:
            self._evaluations_once(config.episodes, EVALUATION_SEED, state)
        if config.final_episodes == 0:
            return [None] * len(self.members)
        return self._evaluations_once(config.final_episodes, 0, state)

    def _evaluations_once(
        self, episodes: int, offset: int, state: TrainState
    ) -> Sequence[Evaluation | None]:
        """Evaluate after the last iteration, unless that was done before."""
        done = [
            member.evaluation_of(self.config.iterations, seed=member.config.seed + offset)
            for member in self.members
        ]
        return done if all(done) else self._evaluate(self._evaluator(episodes), offset, state)

    def _save(self, state: TrainState) -> None:
        self._save_each(self._parts(state))

    def _save_each(self, states: Sequence[TrainState]) -> None:
        for member, state in zip(self.members, states, strict=True):
            member.save(state)

    @contextmanager
    def _saved_if_it_fails(
        self, doing: str, state: TrainState | Sequence[TrainState], *, learned: bool = True
    ) -> Iterator[None]:
        """End training if the block raises, with everything learned so far saved.

        It is usually the environment that raises. In JAX that happens in a callback, where the
        error loses its own type.

        Args:
            doing: what failed, for the message.
            state: the state before the block, of all members together or of each one.
            learned: whether there is anything that a `ConfigError` would lose.
        """
        try:
            yield
        except (Interrupted, RunError, TrainingError):
            raise
        except Exception as error:
            if isinstance(error, ConfigError) and not learned:
                raise
            said = (
                str(error) if isinstance(error, EngineError) else f"{doing} failed.\n{told(error)}"
            )
            raise TrainingError(f"{said}\n{self._keep(state)}") from error

    def _keep(self, state: TrainState | Sequence[TrainState]) -> str:
        """Save whatever can be saved; return what to do, for the message."""
        arrays = [x for x in jax.tree.leaves(state) if isinstance(x, jax.Array)]
        if any(x.is_deleted() for x in arrays):
            kept = (
                "The update had consumed the state before it; only the latest checkpoint is left."
            )
        else:
            self._save_each(self._parts(state) if isinstance(state, TrainState) else state)
            kept = "The state before that is saved."
        return f"{kept} Fix the cause, and continue with: {self._how_to_resume(self.members)}"

    def _how_to_resume(self, members: Sequence[Recorder]) -> str:
        return "\n".join(member.how_to_resume for member in members)

    def _check(self, state: TrainState, each: list[Any], iteration: int) -> None:
        """Stop at a fault: save all states. A faulty member's is that before the iteration."""
        faulty = [
            (member, broken)
            for member, metrics in zip(self.members, each, strict=True)
            if (broken := _broken(metrics))
        ]
        if not faulty:
            return
        self._save(state)
        member, broken = faulty[0]
        what = ", ".join(
            "an agent without any available action"
            if name == "available_actions"
            else f"{name} is not finite"
            for name in broken
        )
        seed, others = "", ""
        if len(self.members) > 1:
            seed = f"Seed {', '.join(str(member.config.seed) for member, _ in faulty)}. "
            left = [each for each in self.members if each not in [found for found, _ in faulty]]
            if left:
                others = (
                    f" The other seeds are saved after iteration {iteration}; continue each of "
                    f"them separately:\n{self._how_to_resume(left)}"
                )
        folder = member.folder
        raise TrainingError(
            f"{seed}Iteration {iteration}: {what}. The state after iteration {iteration - 1} is "
            f"saved in {folder.checkpoints}. Look at the last lines of {folder.metrics}; to "
            f"start again with a smaller step size: {member.how_to_start_again}{others}"
        )

    def _check_returns(self, member: Recorder, evaluation: Evaluation, state: TrainState) -> None:
        """Stop if a return is not finite. The parameters are: the iteration checked them."""
        broken = [x for x in evaluation.returns if not math.isfinite(x)]
        if not broken:
            return
        self._save(state)
        seed = f"Seed {member.config.seed}. " if len(self.members) > 1 else ""
        raise TrainingError(
            f"{seed}The evaluation after iteration {_iteration(state)} has a return that is not "
            f"finite: {broken[0]}. The state after that iteration is saved. Make the environment's "
            "rewards finite (`opspo check` and opspo.check_env play some episodes and say where "
            f"they are not), and continue with: {self._how_to_resume(self.members)}"
        )

    def _interrupt(self, state: TrainState) -> None:
        self._save(state)
        raise Interrupted(
            f"Stopped after iteration {_iteration(state)}; the state is saved. Continue with: "
            f"{self._how_to_resume(self.members)}"
        )


def _broken(metrics: dict[str, Any]) -> list[str]:
    """Names of the quantities that an iteration broke."""
    return [name for name, flag in metrics["faults"].items() if flag]


def _iteration(state: TrainState) -> int:
    """Number of iterations that all members have done."""
    return int(jax.device_get(state.iteration).min())
