"""On the overshooting probe, agents that all move at once do harm; agents in turn do not.

The expected return of a joint policy is known exactly there, so that every update is judged
without the noise of play.
"""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import small_config

from opspo.config import RolloutConfig
from opspo.environments import make_env
from opspo.environments.team_games import OVERSHOOT_CLASH, OVERSHOOT_PULL
from opspo.training.assembly import make_learner

UPDATES = 8
FULL = pytest.mark.full
# Sampling noise and clipped weights may cost this much of a return that rises from 0 to 1
SLACK = 0.005


def expected_return(learner, state):
    """J of the current joint policy, in closed form."""
    _, seen = learner.environment.reset(jax.random.PRNGKey(0))
    team = learner.team
    logits, _ = team.unroll(
        state.actor, seen.observation[None, None], team.initial_memory(1), jnp.ones((1, 1), bool)
    )
    x = np.asarray(jax.nn.softmax(logits[0, 0]))[:, 1] - 0.5
    pairs = (x.sum() ** 2 - (x**2).sum()) / 2
    return OVERSHOOT_PULL * x.sum() - OVERSHOOT_CLASH * pairs


@cache
def learner_of(algo):
    """A learner and its iteration, which here runs for longer than it takes to compile."""
    config = small_config("probe/overshoot", algo, shared=False, epochs=20)
    config = dataclasses.replace(
        config,
        rollout=RolloutConfig(num_envs=512, num_steps=8),
        # running statistics move between two updates, and the policy with them
        policy=dataclasses.replace(config.policy, running_normalisation=False),
        algorithm=dataclasses.replace(config.algorithm, entropy_coefficient=0.0),
    )
    learner = make_learner(config, make_env(config.env))
    optimised = {"xla_backend_optimization_level": 1}
    return learner, jax.jit(learner.iterate, compiler_options=optimised)


def returns(algo, seed):
    """Expected return before the first update and after each."""
    learner, iterate = learner_of(algo)
    state = jax.jit(learner.init, static_argnums=0)(seed)
    found = [expected_return(learner, state)]
    for _ in range(UPDATES):
        state, _ = iterate(state)
        found.append(expected_return(learner, state))
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    "algo",
    ["coppo", pytest.param("happo", marks=FULL), pytest.param("a2po", marks=FULL), "opspo"],
)
def test_agents_that_know_of_each_others_moves_improve_with_every_update(algo):
    """In turn, and CoPPO's at once as well: g tells each step what the others have done."""
    for seed in range(3):
        change = np.diff(returns(algo, seed))
        assert change.min() > -SLACK, change
        assert change.sum() > 0.2


@pytest.mark.slow
def test_agents_at_once_overshoot():
    """Each agent's own gradient is right, and the first joint step loses."""
    for seed in range(3):
        change = np.diff(returns("mappo", seed))
        assert change[0] < -0.01, change
