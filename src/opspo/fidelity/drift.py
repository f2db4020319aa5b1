"""Moving the agents before a stage, by the algorithm's own update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax

from opspo.errors import ConfigError
from opspo.fidelity.playing import Play
from opspo.fidelity.stage_gradient import Stage
from opspo.training.learner import Learner, keys_of
from opspo.types import TrainState, Trajectory
from opspo.update.learners import Learners
from opspo.update.schedule import Plan


def stages_of(learner: Learner) -> list[int]:
    """Numbers of the second, the middle and the last stage of an update, from 0.

    Raises:
        ConfigError: the algorithm updates all agents at once, so nobody has moved before them.
    """
    total = jax.eval_shape(
        learner.algorithm.schedule,
        jax.random.PRNGKey(0),
        jax.numpy.zeros(learner.team.num_members),
    ).agents.shape[0]
    if total < 2:
        raise ConfigError(
            f"fidelity needs a sequential algorithm, but {learner.config.algo} updates all agents "
            "at once. Measure a checkpoint of HAPPO, A2PO or OPSPO; its estimators may be those of "
            "any algorithm."
        )
    return sorted({1, total // 2, total - 1})


def planned(learner: Learner, state: TrainState, play: Play) -> Plan:
    """The plan of the state's next update, made from a batch."""
    trajectory = play(state.actor)

    @jax.jit
    def plan(state: TrainState, trajectory: Trajectory) -> Plan:
        batch, *_ = learner.valued(state, trajectory)
        return learner.plan(batch, keys_of(state).learn)

    made: Plan = plan(state, trajectory)
    return made


def check_step_size(learner: Learner, state: TrainState) -> None:
    """Check that the update of a checkpoint moves the agents at all.

    Raises:
        ConfigError: its step sizes have fallen to 0.
    """
    iterations = learner.config.iterations
    if learner.config.optimiser.anneal and int(state.iteration) >= iterations:
        raise ConfigError(
            f"The checkpoint of iteration {int(state.iteration)} is the last of a run whose step "
            "sizes fall to 0 (optimiser.anneal), so no agent would move. Take an earlier "
            "--checkpoint, or train with --optimiser.no-anneal."
        )


def drifted(
    learner: Learner, state: TrainState, plan: Plan, play: Play, *, number: int, updates: int
) -> Stage:
    """The stage of a plan whose predecessors have moved by some updates.

    Each update is on a batch of its own, which the policies collect that the ones before have left;
    agents of the stage and later ones stay where they are. So the drift grows with the updates.

    Args:
        learner: of the run.
        state: the checkpoint.
        plan: of an update; its stages before `number` are carried out.
        play: a stream of the run's batches.
        number: of the stage, at least 1.
        updates: how often the stages before it are carried out.

    Returns:
        The stage. Its critic is the checkpoint's: the values are those at collection.
    """
    move, learners = _mover(learner, plan, number), learners_of(state)
    for i in range(updates):
        key = jax.random.fold_in(keys_of(state).learn, i)
        learners = move(state, learners, play(learners.actor), key)
    return Stage(
        learners=replace(learners_of(state), actor=learners.actor),
        agents=plan.agents[number],
        active=plan.active[number],
        rank=plan.rank[number],
        number=jax.numpy.asarray(number),
    )


def _mover(
    learner: Learner, plan: Plan, number: int
) -> Callable[[TrainState, Learners, Trajectory, jax.Array], Learners]:
    """(checkpoint, learners, their batch, key) → the learners after the stages before one."""
    before = replace(
        plan,
        agents=plan.agents[:number],
        active=plan.active[:number],
        rank=plan.rank[:number],
        positions=min(plan.positions, number),
    )

    @jax.jit
    def move(
        state: TrainState, learners: Learners, trajectory: Trajectory, key: jax.Array
    ) -> Learners:
        now = state.replace(  # type: ignore[attr-defined]
            actor=learners.actor,
            critic=learners.critic,
            value_statistics=learners.value_statistics,
        )
        batch, *_ = learner.valued(now, trajectory)
        moved, *_ = learner.update(learners, state.state_weight, batch, before, key)
        return moved

    return move


def learners_of(state: TrainState) -> Learners:
    """The part of a state that learns."""
    return Learners(
        state.actor,
        state.actor_optimiser,
        state.critic,
        state.critic_optimiser,
        state.value_statistics,
    )
