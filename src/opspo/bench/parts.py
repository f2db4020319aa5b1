"""Where the time of an iteration goes: its pieces compiled and timed each by itself.

Pieces of a stage are timed on the first stage of a plan and counted once for each of its stages,
which are all of one size. Beside the whole, what is left over is the rest: recording, the division
into minibatches, diagnostics, and what compiling the pieces apart saves or costs.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from opspo.bench.engine import playing
from opspo.bench.measure import seconds_of
from opspo.bench.training import batch_of, begin, flop
from opspo.config import TrainConfig
from opspo.environments.base import Environment, runs_on_host
from opspo.iteration import ready
from opspo.learner import Learner
from opspo.rollout import scan
from opspo.types import (
    Array,
    Batch,
    Correction,
    Params,
    RolloutState,
    StageData,
    TrainState,
    Trajectory,
)
from opspo.update.schedule import Plan
from opspo.update.stage import Moved
from opspo.update.step import GradientStep, Learners, Metrics, Sequences, Starts

WEIGHTS, REST, WHOLE = "traces and weights", "the rest", "the whole"


@dataclass(frozen=True)
class Part:
    """A piece of an iteration."""

    name: str
    seconds: float
    """in an iteration, the median"""
    share: float
    """of the whole"""
    flop: int
    """of its matrix products"""


@dataclass(frozen=True)
class _Piece:
    name: str
    call: Callable[[], Any]
    times: int = 1
    """in an iteration"""
    flop: int = 0


class _ActorAlone(GradientStep):
    """The step without the critic's."""

    def critic_step(
        self, learners: Learners, batch: Any, starts: Any, rate: Array
    ) -> tuple[Learners, Metrics]:
        """Nothing."""
        return learners, {}


class _CriticAlone(GradientStep):
    """The step without the actors'."""

    def __call__(
        self, learners: Learners, batch: Any, starts: Any, rate: Array
    ) -> tuple[Learners, Metrics]:
        """The critic's."""
        return self.critic_step(learners, batch, starts, rate)


def time_parts(config: TrainConfig, environment: Environment, rounds: int) -> list[Part]:
    """Time the whole and its pieces, in turn, `rounds` times; the whole is the last."""
    learner, state = begin(config, environment)
    with _whole(learner, config.seed) as whole, _rollout(learner, state) as rollout:
        pieces = [*rollout, *_learning(learner, state, batch_of(learner, state)), whole]
        for piece in pieces:
            jax.block_until_ready(piece.call())
        times = [[seconds_of(piece.call) for piece in pieces] for _ in range(rounds)]
    seconds: dict[str, float] = {}
    flops: dict[str, int] = {}
    for i, piece in enumerate(pieces):
        median = statistics.median(row[i] for row in times)
        seconds[piece.name] = seconds.get(piece.name, 0.0) + piece.times * median
        flops[piece.name] = flops.get(piece.name, 0) + piece.times * piece.flop
    whole_seconds = seconds.pop(WHOLE)
    seconds[REST] = whole_seconds - sum(seconds.values())
    seconds[WHOLE] = whole_seconds
    flops |= {REST: 0, WHOLE: sum(flops.values())}
    return [
        Part(name, value, value / whole_seconds, flops[name]) for name, value in seconds.items()
    ]


@contextmanager
def _whole(learner: Learner, seed: int) -> Iterator[_Piece]:
    state = jax.jit(learner.init, static_argnums=0)(seed)
    with ready(learner, state) as iterate:

        def call() -> Any:
            nonlocal state
            state, metrics = iterate(state)
            return state, metrics

        yield _Piece(WHOLE, call)


@contextmanager
def _rollout(learner: Learner, state: TrainState) -> Iterator[list[_Piece]]:
    """The engine under random actions, and the decisions by themselves."""
    sizes, act = learner.config.rollout, partial(scan.act, learner.team)
    decision = flop(act, state.actor, state.rollout, state.key)
    with playing(learner.environment, sizes.num_envs, sizes.num_steps) as play:
        if runs_on_host(learner.environment):
            decide = _deciding_on_host(act, state, sizes.num_steps)
        else:
            decide = _deciding_in_jax(act, state, sizes.num_steps)
        yield [
            _Piece("engine, random actions", play),
            _Piece("inference", decide, flop=sizes.num_steps * decision),
        ]


def _deciding_in_jax(act: Any, state: TrainState, num_steps: int) -> Callable[[], Any]:
    """All decisions of a rollout in one scan, each from the memory of the last."""

    def one(now: RolloutState, key: Array) -> tuple[RolloutState, Any]:
        action, log_prob, memory = act(state.actor, now, key)
        return now.replace(memory=memory), (action, log_prob)  # type: ignore[attr-defined]

    go = jax.jit(lambda rollout, key: jax.lax.scan(one, rollout, jax.random.split(key, num_steps)))
    return lambda: go(state.rollout, state.key)


def _deciding_on_host(act: Any, state: TrainState, num_steps: int) -> Callable[[], Any]:
    """One compiled call a step, whose actions come back to the engine."""
    go = jax.jit(act)
    seen: RolloutState = jax.device_get(state.rollout)

    def decide() -> None:
        for _ in range(num_steps):
            np.asarray(go(state.actor, seen, state.key)[0])

    return decide


def _learning(learner: Learner, state: TrainState, trajectory: Trajectory) -> list[_Piece]:
    """The pieces of the update, each on what the ones before it made."""
    stage, key, rate = _Stage(learner), state.key, jnp.ones(())
    plan = learner.algorithm.schedule(key, jnp.zeros(learner.team.num_members))
    times = plan.agents.shape[0]
    nothing = jnp.zeros(trajectory.alive.shape)
    moved = Moved(nothing, nothing)
    learners = Learners(state.actor, state.actor_optimiser, state.critic, state.critic_optimiser)
    found: list[_Piece] = []

    def piece(name: str, times: int, function: Callable[..., Any], *arguments: Any) -> Any:
        """Note it, and hand on what it makes."""
        go = jax.jit(function)
        count = flop(function, *arguments)
        found.append(_Piece(name, lambda: go(*arguments), times, count))
        return go(*arguments)

    batch, *_ = piece("values along the batch", 1, learner._evaluate, state, trajectory)
    weigh, weighing = learner.algorithm.state_weight, (state.state_weight, batch)
    working = piece(WEIGHTS, 1, weigh.begin, *weighing, state.actor, state.critic, key)
    data, correction = piece(WEIGHTS, times, stage.correct, plan, batch, moved, working, key)
    work = piece("division into chunks", times, stage.divide, plan, batch, data, correction)
    for name, kind in (("actors' gradient steps", _ActorAlone), ("critic's", _CriticAlone)):
        descend = partial(stage.descend, kind)
        piece(name, times, descend, plan, learners, *work, rate, key)
    piece("ratios anew", times, stage.measure, plan, state.actor, trajectory, moved)
    return found


@dataclass(frozen=True)
class _Stage:
    """The first stage of a plan in pieces, as `Update` puts them together."""

    learner: Learner

    def correct(
        self, plan: Plan, batch: Batch, moved: Moved, working: Any, key: Array
    ) -> tuple[StageData, Correction]:
        """Traces, state weights and ranges."""
        algorithm = self.learner.algorithm
        data = self.learner.update._view(batch, moved, plan.agents[0], plan.rank[0])
        omega, _ = algorithm.state_weight.weigh(working, batch, data, jnp.zeros((), int), key)
        return data, algorithm.correct(data, omega)

    def divide(
        self, plan: Plan, batch: Batch, data: StageData, correction: Correction
    ) -> tuple[Sequences, Starts]:
        """What the gradient steps work on."""
        agents, active = plan.agents[0], plan.active[0]
        mask = data.alive & active
        return self.learner.update._sequences(batch, agents, active, mask, correction)

    def descend(
        self,
        kind: type[GradientStep],
        plan: Plan,
        learners: Learners,
        sequences: Sequences,
        starts: Starts,
        rate: Array,
        key: Array,
    ) -> Learners:
        """All epochs of a stage with one kind of gradient step."""
        update = self.learner.update
        step = update.gradient_step
        fields = {field.name: getattr(step, field.name) for field in dataclasses.fields(step)}
        alone = dataclasses.replace(update, gradient_step=kind(**fields))
        group = alone._select(learners, plan.agents[0])
        after, _ = alone._descend(group, sequences, starts, epochs=plan.epochs, rate=rate, key=key)
        return after

    def measure(self, plan: Plan, actor: Params, trajectory: Trajectory, moved: Moved) -> Moved:
        """How far all have moved."""
        return self.learner.update._measure(actor, trajectory, moved, plan.agents[0])


def print_parts(title: str, parts: list[Part], most: float) -> None:
    """A row for each; `most` is the rate of a large product."""
    table = Table(title=title)
    for column in ("", "ms", "share", "GFLOP/s", "of a large product's"):
        table.add_column(column, justify="right" if column else "left")
    for part in parts:
        cells = [f"{1000 * part.seconds:.1f}", f"{part.share:.0%}"]
        if part.flop:
            rate = part.flop / part.seconds
            cells += [f"{rate / 1e9:.1f}", f"{rate / most:.0%}"]
        table.add_row(part.name, *cells, style="bold" if part.name == WHOLE else None)
    Console().print(table)
