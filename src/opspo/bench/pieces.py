"""Where the time of an iteration goes: its pieces, each compiled and timed separately.

The pieces of a stage run over all stages of a plan in one program. The remainder is reported as the
rest: recording, diagnostics, and whatever compiling the pieces separately saves or costs. It is
negative where actors and critic run in parallel in the whole iteration.
"""

from __future__ import annotations

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
from opspo.devices import compiler_options
from opspo.environments.base import Environment, runs_on_host
from opspo.rollout import scan
from opspo.training.iteration import ready
from opspo.training.learner import Learner
from opspo.types import (
    Array,
    Batch,
    Correction,
    Moved,
    Params,
    RolloutState,
    StageData,
    TrainState,
    Trajectory,
)
from opspo.update.learners import Learners, select
from opspo.update.moved import measure, not_moved
from opspo.update.schedule import Plan
from opspo.update.sequences import Sequences, Starts
from opspo.update.step import Step

WEIGHTS, ACTORS, CRITIC = "traces and weights", "actors' gradient steps", "critic's"
REST, WHOLE = "the rest", "the whole"


@dataclass(frozen=True)
class Part:
    """A piece of an iteration."""

    name: str
    seconds: float
    """Median time per iteration"""
    share: float
    """Fraction of the whole"""
    flop: int
    """Floating-point operations of its matrix products"""


@dataclass(frozen=True)
class _Piece:
    name: str
    call: Callable[[], Any]
    flop: int = 0


def time_parts(config: TrainConfig, environment: Environment, rounds: int) -> list[Part]:
    """Time an iteration and its pieces alternately, `rounds` times.

    Returns:
        The pieces, then the rest, then the whole iteration.
    """
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
        seconds[piece.name] = seconds.get(piece.name, 0.0) + median
        flops[piece.name] = flops.get(piece.name, 0) + piece.flop
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
    with ready(learner, state) as (state, iterate):

        def call() -> Any:
            nonlocal state
            state, metrics = iterate(state)
            return state, metrics

        yield _Piece(WHOLE, call)


@contextmanager
def _rollout(learner: Learner, state: TrainState) -> Iterator[list[_Piece]]:
    """The engine under random actions, and the policies' decisions alone."""
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
    """All decisions of a rollout in one scan, each with the memory from the previous one."""

    def one(now: RolloutState, key: Array) -> tuple[RolloutState, Any]:
        action, log_prob, memory = act(state.actor, now, key)
        return now.replace(memory=memory), (action, log_prob)  # type: ignore[attr-defined]

    go = jax.jit(lambda rollout, key: jax.lax.scan(one, rollout, jax.random.split(key, num_steps)))
    return lambda: go(state.rollout, state.key)


def _deciding_on_host(act: Any, state: TrainState, num_steps: int) -> Callable[[], Any]:
    """One compiled call per step, whose actions are copied back for the engine."""
    go = jax.jit(act)
    seen: RolloutState = jax.device_get(state.rollout)

    def decide() -> None:
        for _ in range(num_steps):
            np.asarray(go(state.actor, seen, state.key)[0])

    return decide


def _learning(learner: Learner, state: TrainState, trajectory: Trajectory) -> list[_Piece]:
    """The pieces of the update, each given the results of the preceding ones."""
    stage, key, rate = _Stage(learner), state.key, jnp.ones(())
    plan = learner.algorithm.schedule(key, jnp.zeros(learner.team.num_members))
    learners = Learners(
        state.actor,
        state.actor_optimiser,
        state.critic,
        state.critic_optimiser,
        state.value_statistics,
    )
    found: list[_Piece] = []

    def piece(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Record the piece and return its result."""
        go = jax.jit(function, compiler_options=compiler_options())
        found.append(_Piece(name, lambda: go(*arguments), flop(function, *arguments)))
        return go(*arguments)

    def stages(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        return piece(name, partial(_in_every_stage, function), plan, *arguments)

    batch, *_ = piece("values along the batch", learner.valued, state, trajectory)
    if learner.config.policy.running_normalisation:
        both = (state.actor, state.critic)
        piece("statistics of the inputs", learner._observe, *both, trajectory)
    moved = not_moved(batch)
    begin_weight, kept = learner.algorithm.state_weight.begin, state.state_weight
    working = piece(WEIGHTS, begin_weight, kept, batch, state.actor, state.critic, key)
    _, correction = stages(WEIGHTS, stage.correct, (moved, working), batch, key)
    work = stages("division into chunks", stage.divide, correction, batch)
    stages(ACTORS, partial(stage.train_actors, plan.epochs), learners, *work, rate, key)
    if learner.update.critic_epochs:
        piece(CRITIC, learner.update.train_critic, learners, batch, key)
    else:
        stages(CRITIC, partial(stage.train_critic, plan.epochs), learners, *work, rate, key)
    if learner.update.measures(plan):
        stages("ratios anew", stage.measure, state.actor, trajectory, moved)
    return found


def _in_every_stage(function: Callable[..., Any], plan: Plan, varied: Any, *given: Any) -> Any:
    """Apply `function` to each of a plan's stages; return the last result.

    All stages are in one program, which allocates and frees its memory once. `varied` is multiplied
    by a one that is unknown to the compiler, which would otherwise do the work once for all stages.
    """

    def one(last: Any, now: tuple[Array, ...]) -> tuple[Any, None]:
        *stage, factor = now
        here = jax.tree.map(lambda x: x * factor.astype(x.dtype), varied)
        return function(tuple(stage), here, *given), None

    first = jax.tree.map(lambda x: x[0], (plan.agents, plan.active, plan.rank))
    shapes = jax.eval_shape(function, first, varied, *given)
    blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    factors = jnp.where(plan.agents[:, 0] < 0, 0.0, 1.0)  # no agent's number is negative
    return jax.lax.scan(one, blank, (plan.agents, plan.active, plan.rank, factors))[0]


@dataclass(frozen=True)
class _Stage:
    """The pieces of a stage (agents, active, rank), which `Update` combines."""

    learner: Learner

    def correct(
        self, stage: tuple[Array, ...], progress: tuple[Moved, Any], batch: Batch, key: Array
    ) -> tuple[StageData, Correction]:
        """Traces, state weights and ranges."""
        (agents, _, rank), (moved, working) = stage, progress
        algorithm = self.learner.algorithm
        last = jnp.full((), moved.log_ratio.shape[-1], int)  # any but the first, which is on-policy
        began = moved.log_ratio
        data = self.learner.update.view(batch, moved, agents, rank, stage=last, round_began=began)
        omega, _ = algorithm.state_weight.weigh(working, batch, data, jnp.zeros((), int), key)
        return data, algorithm.correct(data, omega)

    def divide(
        self, stage: tuple[Array, ...], correction: Correction, batch: Batch
    ) -> tuple[Sequences, Starts]:
        """The sequences that the gradient steps use, and their start states."""
        agents, active, _ = stage
        return self.learner.update.sequences(batch, correction, agents, active)

    def train_actors(self, epochs: int, *given: Any) -> Learners:
        """All epochs of a stage, without the critic's steps."""
        return self._descend(self.learner.update.gradient_step.actor_step, epochs, *given)

    def train_critic(self, epochs: int, *given: Any) -> Learners:
        """All epochs of a stage, the critic's steps only."""
        update = self.learner.update
        passes = epochs * (1 + update.extra_critic_passes)
        return self._descend(update.gradient_step.critic_step, passes, *given)

    def _descend(
        self,
        step: Step,
        epochs: int,
        stage: tuple[Array, ...],
        learners: Learners,
        sequences: Sequences,
        starts: Starts,
        rate: Array,
        key: Array,
    ) -> Learners:
        update = self.learner.update
        group = select(update.networks, learners, stage[0])
        return update.descend(group, sequences, starts, step, epochs=epochs, rate=rate, key=key)[0]

    def measure(
        self, stage: tuple[Array, ...], actor: Params, trajectory: Trajectory, moved: Moved
    ) -> Moved:
        """The ratios of all agents after the stage."""
        update = self.learner.update
        ratio = update.algorithm.ratio_of
        return measure(update.networks, ratio, actor, trajectory, moved, stage[0])


def print_parts(title: str, parts: list[Part], most: float) -> None:
    """Print a row for each part; `most` is the FLOP/s of a large matrix product."""
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
