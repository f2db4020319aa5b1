"""The direction that on-policy data give, from as many steps as it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp

from opspo.fidelity.candidates import Candidate
from opspo.fidelity.directions import Floats, Mean
from opspo.fidelity.playing import Play
from opspo.fidelity.stage_gradient import Stage, correct, first_gradient
from opspo.fidelity.state_moments import Unit, moments
from opspo.training.assembly import make_learner
from opspo.training.learner import Learner
from opspo.types import Array, Batch, TrainState, Trajectory
from opspo.update.moved import not_moved
from opspo.update.stages import Update

RETURNS = "returns"
LONG = 0.98
"""λ of a further reference, between the run's and 1"""
FORGOTTEN = 0.05
"""Share of a return that may be left to the critic"""


@dataclass
class Reference:
    """Means over the chunks of an on-policy stream."""

    targets: dict[str, Mean] = field(default_factory=dict)
    """Direction by name. `RETURNS` is the policy gradient: its advantages are measured returns less
    V. The others have GAE(λ) instead: less noise, and the critic's bias."""
    moments: Mean = field(default_factory=Mean)
    """Of the states"""
    steps: int = 0
    """Environment steps"""

    @property
    def values(self) -> dict[str, Floats]:
        """Each direction's mean [P]."""
        return {name: mean.value for name, mean in self.targets.items()}


Measured = tuple[TrainState, dict[str, tuple[Array, Array]], Array]


def tail_of(gamma: float, episode_limit: int | None) -> int:
    """Steps at the end of a chunk whose return would be the critic's by more than `FORGOTTEN`."""
    tail = math.ceil(math.log(FORGOTTEN) / math.log(gamma)) if gamma < 1 else 10**9
    return min(tail, episode_limit or tail)


def chunk_steps(learner: Learner) -> int:
    """Steps of each environment in a chunk: four times the tail, in whole sequences."""
    tail = tail_of(learner.config.algorithm.gamma, learner.environment.spec.episode_limit)
    length = learner.config.chunk_length
    return -(-4 * max(tail, length) // length) * length


def reference(
    learner: Learner,
    state: TrainState,
    stage: Stage,
    play: Play,
    gae: Callable[[float], Learner],
    *,
    unit: Unit,
    enough: float,
    most_steps: int,
    told: Callable[[Reference], None],
) -> Reference:
    """Play with the moved policies until two halves of the stream agree.

    Args:
        learner: of the run.
        state: the checkpoint, whose critic is the baseline.
        stage: whose actors play.
        play: a stream of chunks of `chunk_steps`.
        gae: λ → a learner whose estimator is GAE(λ) without weights.
        unit: of the states' features.
        enough: cosine of the halves at which to stop.
        most_steps: environment steps at which to stop in any case.
        told: called after each chunk.
    """
    names, directions = _measuring(learner, gae, unit)
    found, state = Reference({name: Mean() for name in names}), afresh(learner, state)
    while found.steps < most_steps and not _agree(found, enough):
        trajectory = play(stage.learners.actor)
        state, measured, states = directions(state, stage, trajectory)
        for name, (direction, samples) in jax.device_get(measured).items():
            found.targets[name].add(direction, float(samples))
        found.moments.add(states)
        found.steps += trajectory.reward.shape[0] * trajectory.reward.shape[1]
        told(found)
    return found


def _measuring(
    learner: Learner, gae: Callable[[float], Learner], unit: Unit
) -> tuple[list[str], Callable[[TrainState, Stage, Trajectory], Measured]]:
    """The names of the targets; and (state, stage, chunk) → the state for the next chunk, each
    target's direction with its number of samples, and the moments of the states."""
    algorithm = learner.config.algorithm
    tail = tail_of(algorithm.gamma, learner.environment.spec.episode_limit)
    lambdas = {
        RETURNS: 1.0,
        f"λ = {LONG}": LONG,
        f"λ = {algorithm.gae_lambda}": algorithm.gae_lambda,
    }
    updates = {
        # as the formula has them: a chunk's scale would be a random weight
        name: replace(gae(each).update, normalise_advantage=False)
        for name, each in lambdas.items()
    }

    @jax.jit
    def directions(state: TrainState, stage: Stage, trajectory: Trajectory) -> Measured:
        state, batch = valued(learner, state, trajectory)
        settled = batch.replace(trajectory=_settled(trajectory, tail))  # type: ignore[attr-defined]
        found = {
            name: _direction(update, stage, settled if name == RETURNS else batch, state.key)
            for name, update in updates.items()
        }
        return state, found, moments(trajectory.state, unit)

    return list(updates), directions


def _settled(trajectory: Trajectory, tail: int) -> Trajectory:
    """Without the samples whose measured return ends too soon: they count as those of the dead."""
    steps = trajectory.reward.shape[0]
    early = (jnp.arange(steps) < steps - tail)[:, None, None]
    return trajectory.replace(alive=trajectory.alive & early)  # type: ignore[attr-defined]


def _direction(update: Update, stage: Stage, batch: Batch, key: Array) -> tuple[Array, Array]:
    nothing, actor = not_moved(batch), stage.learners.actor
    correction = correct(update, stage, batch, nothing, actor, key)
    return first_gradient(update, stage, batch, correction)


def _agree(found: Reference, enough: float) -> bool:
    returns = found.targets[RETURNS]
    # two chunks may agree by chance
    return returns.count >= 4 and returns.agreement >= enough


def afresh(learner: Learner, state: TrainState) -> TrainState:
    """A state whose critic remembers nothing, for a stream that begins with new episodes."""
    memory = learner.critic.initial_memory(learner.config.rollout.num_envs)
    return state.replace(critic_memory=memory)  # type: ignore[attr-defined]


def valued(learner: Learner, state: TrainState, trajectory: Trajectory) -> tuple[TrainState, Batch]:
    """A stream's next steps with the checkpoint's values; the state has the critic's memory.

    The batch has the critic's features, also where the run's own algorithm does not ask for them.
    """
    batch, _, memory = learner.valued(state, trajectory)
    if batch.features is None:
        batch = batch.replace(features=learner.features(state, batch))  # type: ignore[attr-defined]
    return state.replace(critic_memory=memory), batch  # type: ignore[attr-defined]


def learner_of(learner: Learner, candidate: Candidate) -> Learner:
    """The run's learner with a candidate's algorithm, for its directions alone."""
    declaration = replace(candidate.declaration, extra_critic_passes=0, entropy_coefficient=0.0)
    config = replace(learner.config, algo=declaration.name, algorithm=declaration)
    return make_learner(config, learner.environment)
