"""How many gradient steps each algorithm takes in one update, by Adam's own count."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import alike, collect, learn, small_config

from opspo.algorithms import ALGORITHMS, A2POConfig, HAPPOConfig
from opspo.environments import make_env
from opspo.presets.equal_steps import equal_steps
from opspo.training.assembly import make_learner

AGENTS, EPOCHS, BLOCKS = 3, 5, 2
NAMES = sorted(ALGORITHMS)
IN_TURN = {"happo", "a2po", "opspo"}
SHARING = pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])


def config_of(algo, **settings):
    config = small_config("probe/regulator", algo, **{"epochs": EPOCHS} | settings)
    return dataclasses.replace(
        config,
        policy=dataclasses.replace(config.policy, hidden_sizes=(4,)),
        rollout=dataclasses.replace(config.rollout, num_envs=4, num_steps=4),
    )


def counts(optimiser):
    """Adam's count for each set of parameters."""
    is_adam = lambda x: isinstance(x, optax.ScaleByAdamState)  # noqa: E731
    (adam,) = [x for x in jax.tree.leaves(optimiser, is_leaf=is_adam) if is_adam(x)]
    return set(np.ravel(adam.count).tolist())


@cache
def begun(config):
    """A state and a batch of experience."""
    learner = make_learner(config, make_env(config.env))
    state = jax.jit(learner.init)(0)
    return state, jax.jit(lambda s: collect(learner, s))(state)


@cache
def taken(config):
    """Steps of the actors and of the critic in one update; all sets of parameters take as many."""
    learner = make_learner(config, make_env(config.env))
    assert learner.team.num_members == AGENTS
    learned = jax.jit(lambda s, t: learn(learner, s, t))(*begun(alike(config)))
    assert not jnp.isnan(jax.flatten_util.ravel_pytree(learned.actor)[0]).any()
    (actor,), (critic,) = counts(learned.actor_optimiser), counts(learned.critic_optimiser)
    return actor, critic


@SHARING
@pytest.mark.parametrize("algo", NAMES)
def test_at_the_same_epochs_those_in_turn_take_more(algo, shared):
    expected = {
        (True, True): (EPOCHS * BLOCKS, EPOCHS * BLOCKS),
        (True, False): (EPOCHS, EPOCHS),
        (False, True): (EPOCHS, AGENTS * EPOCHS),
        (False, False): (EPOCHS, EPOCHS),
    }
    assert taken(config_of(algo, shared=shared)) == expected[shared, algo in IN_TURN]


def in_full(settings):
    """One algorithm of each schedule in every run of the tests, all in `make test-full`."""
    quick = {"happo", "mappo"}
    return [
        pytest.param(algo, each, marks=() if algo in quick or not each else pytest.mark.full)
        for algo in NAMES
        for each in settings
    ]


@SHARING
@pytest.mark.parametrize(
    ("algo", "settings"), in_full([{}, {"minibatches": 2}, {"critic": "local"}]), ids=str
)
def test_equal_steps_are_the_same_for_all(algo, shared, settings):
    config = equal_steps(config_of(algo, shared=shared, **settings), AGENTS)
    factor = settings.get("minibatches", 1)
    actor = EPOCHS * BLOCKS if shared else EPOCHS
    critic = EPOCHS * BLOCKS if shared else AGENTS * EPOCHS
    assert taken(config) == (factor * actor, factor * critic)


@pytest.mark.parametrize("algo", NAMES)
def test_divided_epochs_are_rounded_up_to_whole_rounds(algo):
    """ceil(5 / 2) rounds of 2 blocks are 6 steps."""
    like = HAPPOConfig(block_epochs="divided")
    own = {"block_epochs": "divided"} if algo in IN_TURN else {}
    config = equal_steps(config_of(algo, **own), AGENTS, like)
    assert taken(config) == (6, 6)


@SHARING
@pytest.mark.parametrize("algo", ["mappo", "happo"])
def test_a_critic_trained_behind_all_agents_takes_as_many(algo, shared):
    config = equal_steps(config_of(algo, shared=shared, critic_epochs=4), AGENTS)
    steps = BLOCKS * EPOCHS
    assert taken(config) == ((steps, steps) if shared else (EPOCHS, AGENTS * EPOCHS))


@SHARING
def test_a_two_stage_critic_keeps_its_further_passes(shared):
    config = equal_steps(config_of("a2po", shared=shared, extra_critic_passes=1), AGENTS)
    assert isinstance(config.algorithm, A2POConfig)
    steps = BLOCKS * EPOCHS if shared else AGENTS * EPOCHS
    assert taken(config)[1] == 2 * steps
    at_once = equal_steps(config_of("mappo", shared=shared, extra_critic_passes=1), AGENTS)
    assert taken(at_once)[1] == 2 * steps


def test_more_blocks_than_agents_are_one_for_each():
    config = equal_steps(config_of("mappo"), AGENTS, HAPPOConfig(blocks=7))
    assert taken(config) == (AGENTS * EPOCHS, AGENTS * EPOCHS)
    assert taken(config_of("happo", blocks=7)) == (AGENTS * EPOCHS, AGENTS * EPOCHS)
