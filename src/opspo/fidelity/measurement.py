"""From a checkpoint to how near each estimator comes to what on-policy data would give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from opspo.errors import ConfigError
from opspo.estimators.ratios import effective_sample_size
from opspo.fidelity.candidates import BASELINE, Candidate
from opspo.fidelity.drift import check_step_size, drifted, planned, stages_of
from opspo.fidelity.extent import Extent
from opspo.fidelity.heads import fitted_heads, with_head
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
from opspo.training.action_head import HeadState
from opspo.training.learner import Learner
from opspo.types import Array, Moved, TrainState, Trajectory
from opspo.update.moved import not_moved

ON_POLICY = "on-policy"
"""Name of the control: the baseline on batches that the moved policies collect themselves"""
Told = Callable[[str, float], None]
"""(what is being done, the share that is done)"""


Directions = dict[str, tuple[Array, Array, Array]]
"""Candidate → its first gradient, change in the first epoch and moments of the states"""
Found = tuple[TrainState, Directions, tuple[Array, Array]]
"""The state for the stream's next batch, the directions, and the drift"""


@dataclass
class Case:
    """A stage under some drift."""

    updates: int
    stage: Stage
    reference: Reference
    tallies: dict[str, Tally]
    drift: list[tuple[float, float]] = field(default_factory=list)
    """Of each batch: mean |log r| of the joint ratio of the others, effective sample share"""

    def count(self, found: Directions) -> None:
        """Count the directions of a batch."""
        targets = self.reference.values
        for name, (first, epoch, states) in jax.device_get(found).items():
            self.tallies[name].add(first, epoch, states, targets)

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


@dataclass(frozen=True)
class _Setting:
    """What all parts of a measurement share."""

    learner: Learner
    state: TrainState
    chosen: Mapping[str, Candidate]
    extent: Extent
    unit: Unit
    seed: int
    told: Told

    @property
    def num_steps(self) -> int:
        """Steps of a batch, of each environment."""
        return self.learner.config.rollout.num_steps


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
    stages, unit = _stages(learner, state, extent, seed)
    setting = _Setting(learner, state, chosen, extent, unit, seed, told)
    cases = [
        Case(
            updates,
            stage,
            _reference(setting, stage, seed + 1 + i),
            {name: Tally(extent.batches) for name in chosen}
            | {ON_POLICY: Tally(extent.own_batches)},
        )
        for i, (updates, stage) in enumerate(stages)
    ]
    _compare(setting, cases)
    _compare_own(setting, cases)
    return [case.summary() for case in cases]


def _stages(
    learner: Learner, state: TrainState, extent: Extent, seed: int
) -> tuple[list[tuple[int, Stage]], Unit]:
    """(updates, stage) for each case, and the unit of the states' features."""
    numbers = _numbers(learner, extent.stages)
    check_step_size(learner, state)
    with playing(learner, num_steps=learner.config.rollout.num_steps, seed=seed) as play:
        plan = planned(learner, state, play)
        unit = jax.jit(lambda t: unit_of(t.state))(play(state.actor))
        stages = [
            (updates, drifted(learner, state, plan, play, number=number, updates=updates))
            for updates in extent.updates
            for number in numbers
        ]
    return stages, unit


def _numbers(learner: Learner, asked: Sequence[int]) -> list[int]:
    known = stages_of(learner)
    if asked and max(asked) > known[-1]:
        raise ConfigError(f"stages must be at most {known[-1]}, but are {tuple(asked)}.")
    return list(asked) or known


def _reference(setting: _Setting, stage: Stage, seed: int) -> Reference:
    learner, extent = setting.learner, setting.extent
    plain = setting.chosen[BASELINE].declaration

    def gae(gae_lambda: float) -> Learner:
        return learner_of(learner, Candidate(replace(plain, gae_lambda=gae_lambda)))

    def tell(found: Reference) -> None:
        setting.told(f"reference of stage {int(stage.number)}", found.steps / extent.most_steps)

    with playing(learner, num_steps=chunk_steps(learner), seed=seed) as play:
        return reference(
            learner,
            setting.state,
            stage,
            play,
            gae,
            unit=setting.unit,
            enough=extent.agreement,
            most_steps=extent.most_steps,
            told=tell,
        )


def _compare(setting: _Setting, cases: Sequence[Case]) -> None:
    """The candidates on batches of the old policies."""
    state, batches = setting.state, setting.extent.batches
    learner = setting.learner
    learners = {name: learner_of(learner, each) for name, each in setting.chosen.items()}
    heads = _heads(setting, learners)
    directions = _directions(setting, learners, heads)
    now, seed = afresh(learner, state), setting.seed + 1000
    with playing(learner, num_steps=setting.num_steps, seed=seed) as play:
        for number in range(batches):
            trajectory = play(state.actor)
            key = jax.random.fold_in(state.key, number)
            for case in cases:
                after, found, drift = directions(now, trajectory, case.stage, state.actor, key)
                case.drift.append((float(drift[0]), float(drift[1])))
                case.count(found)
            now = after
            setting.told("batches", (number + 1) / batches)


def _heads(setting: _Setting, learners: Mapping[str, Learner]) -> dict[str, HeadState]:
    if not any(each.action_head for each in learners.values()):
        return {}
    learner, seed = setting.learner, setting.seed + 3000
    with playing(learner, num_steps=setting.num_steps, seed=seed) as play:
        tell = partial(setting.told, "action values")
        return fitted_heads(learner, setting.state, learners, play, tell)


def _compare_own(setting: _Setting, cases: Sequence[Case]) -> None:
    """The baseline on batches of the moved policies: what no correction can surpass."""
    plain = learner_of(setting.learner, setting.chosen[BASELINE])
    directions = _directions(setting, {ON_POLICY: plain}, {})
    for i, case in enumerate(cases):
        now, seed = afresh(setting.learner, setting.state), setting.seed + 2000 + i
        with playing(setting.learner, num_steps=setting.num_steps, seed=seed) as play:
            for number in range(setting.extent.own_batches):
                actor = case.stage.learners.actor
                key = jax.random.fold_in(setting.state.key, number)
                now, found, _ = directions(now, play(actor), case.stage, actor, key)
                case.count(found)
        setting.told("batches of the moved policies", (i + 1) / len(cases))


def _directions(
    setting: _Setting, learners: Mapping[str, Learner], heads: Mapping[str, HeadState]
) -> Callable[[TrainState, Trajectory, Stage, Any, Array], Found]:
    """(state, batch, stage, actors that collected it, key) → what is found."""
    learner, unit, chosen = setting.learner, setting.unit, setting.chosen

    @jax.jit
    def directions(
        state: TrainState, trajectory: Trajectory, stage: Stage, before: Any, key: Array
    ) -> Found:
        state, batch = valued(learner, state, trajectory)
        deal_key, key = jax.random.split(key)
        moved, found = moved_at(learner.update, stage, batch), {}
        for name, own in learners.items():
            update, seen = own.update, with_head(own, batch, heads.get(name), before, state)
            used = moved if seen is batch else moved_at(update, stage, seen)
            if name == ON_POLICY:  # nobody has moved: rounding alone would be measured
                used = not_moved(batch)
            elif chosen[name].shuffled:
                used = shuffled(used, deal_key)
            correction = correct(update, stage, seen, used, before, key)
            first, _ = first_gradient(update, stage, seen, correction)
            epoch = first_epoch(update, stage, seen, correction, key)
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
