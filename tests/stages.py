"""An update looked at from within: what each stage of a plan is given, and what it leaves."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from small import alike, collect, learner_of, run

from opspo.config import TrainConfig
from opspo.training.learner import Learner
from opspo.types import StageData, TrainState
from opspo.update.algorithm import Algorithm
from opspo.update.learners import Learners

SHARING = {
    "separate": {"shared": False, "order": "cyclic"},
    "shared": {"blocks": 2, "epochs": 2},
    "shared, recurrent": {"blocks": 2, "epochs": 2, "recurrent": True},
}
"""Name → what makes a small configuration one of either mode"""
sharing = pytest.mark.parametrize(
    "case",
    [
        # with memory in `make test-full`
        pytest.param(case, id=name, marks=pytest.mark.full if "recurrent" in case else ())
        for name, case in SHARING.items()
    ],
)


@dataclasses.dataclass(frozen=True, eq=False)
class Begun:
    """An update about to begin, in the second iteration: policies and units have moved."""

    learner: Learner
    state: Any
    batch: Any
    learners: Learners
    plan: Any

    @property
    def stages(self) -> int:
        """How many there are."""
        return int(self.plan.agents.shape[0])


@cache
def begun(config: TrainConfig) -> Begun:
    """The first iteration done, a batch collected and looked at, and a plan made.

    That iteration is of one algorithm for all, which compiles once.
    """
    learner, _ = learner_of(config)
    state, _ = run(alike(config), 1)
    return begun_at(learner, state)


def begun_at(learner: Learner, state: TrainState) -> Begun:
    """A batch collected and looked at in a state, and a plan made."""
    look = jax.jit(lambda state: learner.everything(state, collect(learner, state)))
    batch, statistics, *_ = look(state)
    learners = Learners(
        state.actor, state.actor_optimiser, state.critic, state.critic_optimiser, statistics
    )
    plan = learner.algorithm.schedule(jax.random.PRNGKey(3), jnp.zeros(learner.team.num_members))
    return Begun(learner, state, batch, learners, plan)


@cache
def carried_out(now: Begun, stages: int, **changed: Any) -> tuple[Learners, list[StageData]]:
    """What the first stages of the plan leave, and the data that each of them has seen."""
    seen: list[StageData] = []
    algorithm = dataclasses.replace(now.learner.algorithm, **changed)

    class Noted(Algorithm):
        """The algorithm, with what it is given."""

        def correct(self, data: StageData, omega: Any) -> Any:
            jax.debug.callback(seen.append, data, ordered=True)
            return super().correct(data, omega)

    update = dataclasses.replace(now.learner.update, algorithm=Noted(**vars(algorithm)))
    part = jax.tree.map(lambda x: x[:stages], now.plan)
    carry_out = jax.jit(lambda *given: update(*given)[0])
    given = now.learners, now.state.state_weight, now.batch, part, jax.random.PRNGKey(4)
    after = carry_out(*given)
    jax.effects_barrier()
    return after, sorted(seen, key=lambda data: int(data.stage))
