"""From a checkpoint to how near each estimator comes to what on-policy data would give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp

from opspo.errors import ConfigError
from opspo.estimators.ratios import effective_sample_size
from opspo.fidelity.candidates import BASELINE, Candidate
from opspo.fidelity.drift import check_step_size, drifted, planned, stages_of
from opspo.fidelity.playing import playing
from opspo.fidelity.reference import (
    Reference,
    afresh,
    chunk_steps,
    learner_of,
    reference,
    valued,
)
from opspo.fidelity.stage_gradient import (
    Stage,
    correct,
    first_epoch,
    first_gradient,
    moved_at,
    shuffled,
)
from opspo.fidelity.state_moments import Unit, moments, unit_of
from opspo.fidelity.tally import Tally, reference_summary
from opspo.training.learner import Learner
from opspo.types import Array, TrainState, Trajectory
from opspo.update.moved import Moved, not_moved

ON_POLICY = "on-policy"
"""Name of the control: the baseline on batches that the moved policies collect themselves"""
Told = Callable[[str, float], None]
"""(what is being done, the share that is done)"""


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    updates: tuple[int, ...] = (1,)
    """Updates by which the agents before a stage move: the dial of the drift"""
    stages: tuple[int, ...] = ()
    """Numbers of the stages, from 0; none: the second, the middle and the last"""
    batches: int = 80
    """Batches of the size of the run's, from the old policies"""
    own_batches: int = 20
    """Batches from the moved policies themselves, for the control"""
    agreement: float = 0.9
    """Cosine of the reference's halves at which it is good enough"""
    most_steps: int = 400_000
    """Environment steps of a reference at most"""

    def __post_init__(self) -> None:
        for name in ("batches", "own_batches"):
            if getattr(self, name) < 4:
                raise ConfigError(f"{name} must be at least 4, but is {getattr(self, name)}.")
        if not self.updates or min(self.updates) < 1:
            raise ConfigError(f"updates must be at least 1, but are {self.updates}.")
        if self.stages and min(self.stages) < 1:
            raise ConfigError(
                f"stages must be at least 1, but are {self.stages}: before stage 0 nobody has "
                "moved, so that all data are on-policy."
            )


@dataclass
class Case:
    """A stage under some drift."""

    updates: int
    stage: Stage
    reference: Reference
    tallies: dict[str, Tally]
    drift: list[tuple[float, float]] = field(default_factory=list)
    """Of each batch: mean |log r| of the joint ratio of the others, effective sample share"""

    def summary(self) -> dict[str, Any]:
        """As plain data."""
        size, share = (float(jnp.asarray(x).mean()) for x in zip(*self.drift, strict=True))
        return {
            "stage": int(self.stage.number),
            "agents": [int(x) for x in self.stage.agents[self.stage.active]],
            "updates": self.updates,
            "log_ratio_abs": round(size, 6),
            "effective_sample_share": round(share, 4),
            "reference": reference_summary(self.reference),
            "candidates": {
                name: tally.summary(self.reference) for name, tally in self.tallies.items()
            },
        }


def measure_state(
    learner: Learner,
    state: TrainState,
    chosen: Mapping[str, Candidate],
    extent: Extent,
    *,
    seed: int,
    told: Told,
) -> list[dict[str, Any]]:
    """Measure candidates at a training state.

    Args:
        learner: of the run, with a sequential algorithm, by whose update agents move.
        state: the checkpoint.
        chosen: the candidates by name, `BASELINE` among them.
        extent: how much is measured.
        seed: of all streams.
        told: called with the progress.

    Returns:
        A summary for each drift and stage, as plain data; see `Case.summary`.

    Raises:
        ConfigError: the algorithm is not sequential, there is no such stage, the baseline is
            missing, or the step size is 0.
    """
    if BASELINE not in chosen:
        raise ConfigError(f"candidates must have the baseline '{BASELINE}', but has not.")
    numbers = _numbers(learner, extent.stages)
    check_step_size(learner, state)
    size = learner.config.rollout.num_steps
    with playing(learner, num_steps=size, seed=seed) as play:
        plan = planned(learner, state, play)
        unit = jax.jit(lambda t: unit_of(t.state))(play(state.actor))
        stages = [
            (updates, drifted(learner, state, plan, play, number=number, updates=updates))
            for updates in extent.updates
            for number in numbers
        ]
    cases = []
    for i, (updates, stage) in enumerate(stages):
        found = _reference(learner, state, stage, chosen, extent, unit, seed + 1 + i, told)
        tallies = {name: Tally() for name in (*chosen, ON_POLICY)}
        cases.append(Case(updates, stage, found, tallies))
    _compare(learner, state, chosen, extent, cases, unit, seed, told)
    _compare_own(learner, state, chosen, extent, cases, unit, seed, told)
    return [case.summary() for case in cases]


def _numbers(learner: Learner, asked: Sequence[int]) -> list[int]:
    known = stages_of(learner)
    if asked and max(asked) > known[-1]:
        raise ConfigError(f"stages must be at most {known[-1]}, but are {tuple(asked)}.")
    return list(asked) or known


def _reference(
    learner: Learner,
    state: TrainState,
    stage: Stage,
    chosen: Mapping[str, Candidate],
    extent: Extent,
    unit: Unit,
    seed: int,
    told: Told,
) -> Reference:
    plain = chosen[BASELINE].declaration

    def gae(gae_lambda: float) -> Learner:
        return learner_of(learner, Candidate(replace(plain, gae_lambda=gae_lambda)))

    def tell(found: Reference) -> None:
        told(f"reference of stage {int(stage.number)}", found.steps / extent.most_steps)

    with playing(learner, num_steps=chunk_steps(learner), seed=seed) as play:
        return reference(
            learner,
            state,
            stage,
            play,
            gae,
            unit=unit,
            enough=extent.agreement,
            most_steps=extent.most_steps,
            told=tell,
        )


def _compare(
    learner: Learner,
    state: TrainState,
    chosen: Mapping[str, Candidate],
    extent: Extent,
    cases: Sequence[Case],
    unit: Unit,
    seed: int,
    told: Told,
) -> None:
    """The candidates on batches of the old policies."""
    directions, now = _directions(learner, chosen, unit), afresh(learner, state)
    with playing(learner, num_steps=learner.config.rollout.num_steps, seed=seed + 1000) as play:
        for number in range(extent.batches):
            trajectory = play(state.actor)
            key = jax.random.fold_in(state.key, number)
            for case in cases:
                after, found, drift = directions(now, trajectory, case.stage, state.actor, key)
                case.drift.append((float(drift[0]), float(drift[1])))
                targets = case.reference.values
                for name, (first, epoch, states) in jax.device_get(found).items():
                    case.tallies[name].add(first, epoch, states, targets)
            now = after
            told("batches", (number + 1) / extent.batches)


def _compare_own(
    learner: Learner,
    state: TrainState,
    chosen: Mapping[str, Candidate],
    extent: Extent,
    cases: Sequence[Case],
    unit: Unit,
    seed: int,
    told: Told,
) -> None:
    """The baseline on batches of the moved policies: what no correction can surpass."""
    directions = _directions(learner, {ON_POLICY: chosen[BASELINE]}, unit)
    for i, case in enumerate(cases):
        size, now = learner.config.rollout.num_steps, afresh(learner, state)
        with playing(learner, num_steps=size, seed=seed + 2000 + i) as play:
            for number in range(extent.own_batches):
                actor = case.stage.learners.actor
                key = jax.random.fold_in(state.key, number)
                now, found, _ = directions(now, play(actor), case.stage, actor, key)
                first, epoch, states = jax.device_get(found)[ON_POLICY]
                targets = case.reference.values
                case.tallies[ON_POLICY].add(first, epoch, states, targets)
        told("batches of the moved policies", (i + 1) / len(cases))


Found = tuple[TrainState, dict[str, tuple[Array, Array, Array]], tuple[Array, Array]]
"""The state for the stream's next batch; each candidate's first gradient, change in the first epoch
and moments of the states; and the drift"""


def _directions(
    learner: Learner, chosen: Mapping[str, Candidate], unit: Unit
) -> Callable[[TrainState, Trajectory, Stage, Any, Array], Found]:
    """(state, batch, stage, actors that collected it, key) → what is found."""
    updates = {name: learner_of(learner, each).update for name, each in chosen.items()}

    @jax.jit
    def directions(
        state: TrainState, trajectory: Trajectory, stage: Stage, before: Any, key: Array
    ) -> Found:
        state, batch = valued(learner, state, trajectory)
        deal_key, key = jax.random.split(key)
        moved = moved_at(learner.update, stage, batch)
        dealt = shuffled(moved, deal_key)
        found = {}
        for name, update in updates.items():
            used = dealt if chosen[name].shuffled else moved
            if name == ON_POLICY:  # nobody has moved: rounding alone would be measured
                used = not_moved(batch)
            correction = correct(update, stage, batch, used, before, key)
            first, _ = first_gradient(update, stage, batch, correction)
            epoch = first_epoch(update, stage, batch, correction, key)
            weight = (correction.state_weight * stage.active).mean(-1)
            found[name] = first, epoch, moments(trajectory.state, unit, weight)
        return state, found, _drift(learner, stage, batch.trajectory, moved)

    return directions


def _drift(
    learner: Learner, stage: Stage, trajectory: Trajectory, moved: Moved
) -> tuple[Array, Array]:
    """Mean |log r| of the others' joint ratio, and its effective sample share."""
    algorithm = learner.algorithm
    ratio = algorithm.counted("weight_agents", moved.density_log_ratio, stage.agents, stage.rank)
    mask = trajectory.alive[..., stage.agents] & stage.active
    size = jnp.where(mask, jnp.abs(ratio), 0).sum() / jnp.maximum(mask.sum(), 1)
    return size, effective_sample_size(ratio, mask)
