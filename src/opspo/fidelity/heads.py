"""Action values for candidates that ask for them: a head of the checkpoint's critic, for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax

from opspo.fidelity.playing import Play
from opspo.fidelity.reference import afresh, valued
from opspo.training.action_head import HeadState
from opspo.training.learner import Learner
from opspo.types import Batch, Params, TrainState, Trajectory

BATCHES = 40
"""From which the heads learn, each once"""


def fitted_heads(
    learner: Learner,
    state: TrainState,
    candidates: Mapping[str, Learner],
    play: Play,
    told: Callable[[float], None],
) -> dict[str, HeadState]:
    """The heads of those candidates that need one, trained on batches of the checkpoint's policies.

    Args:
        learner: of the run.
        state: the checkpoint.
        candidates: name → a learner with the candidate's algorithm.
        play: a stream of the run's batches.
        told: called with the share that is done.
    """
    heads = {name: each.action_head for name, each in candidates.items() if each.action_head}
    found = {name: head.init(state.actor, state.critic) for name, head in heads.items()}

    @jax.jit
    def fit(
        now: TrainState, trajectory: Trajectory, found: dict[str, HeadState]
    ) -> tuple[TrainState, dict[str, HeadState]]:
        now, batch = valued(learner, now, trajectory)
        fitted = {}
        for name, head in heads.items():
            seen = with_head(candidates[name], batch, found[name], state.actor, now)
            fitted[name], _ = head.fit(found[name], seen, now.value_statistics)
        return now, fitted

    now = afresh(learner, state)
    for number in range(BATCHES):
        now, found = fit(now, play(state.actor), found)
        told((number + 1) / BATCHES)
    return found


def with_head(
    candidate: Learner, batch: Batch, head: HeadState | None, before: Params, state: TrainState
) -> Batch:
    """A batch with a candidate's action values; as it is for one that needs none.

    Args:
        candidate: a learner with the candidate's algorithm.
        batch: with the critic's features.
        head: what the candidate's head has learned.
        before: the actors that collected the batch.
        state: the checkpoint, for the unit of its critic.
    """
    if candidate.action_head is None or head is None:
        return batch
    values = candidate.action_head.values(head, before, batch, state.value_statistics)
    seen: Batch = batch.replace(action_values=values)  # type: ignore[attr-defined]
    return seen
