"""The ring of past iterations, against log-probabilities computed afresh for every pair."""

import dataclasses
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import collect, small_config

from opspo.algorithms import DensityConfig
from opspo.environments import make_env
from opspo.state_weights.history import History
from opspo.state_weights.transitions import transitions
from opspo.training.assembly import make_learner

pytestmark = pytest.mark.lenient_dtypes

SLOTS = 3


@cache
def setting(recurrent=False, env="probe/death", running=False, **density):
    config = small_config(
        env,
        shared=False,
        recurrent=recurrent,
        state_weight="minimax",
        density=DensityConfig(**{"iterations": SLOTS, "samples": 32} | density),
    )
    policy = dataclasses.replace(config.policy, running_normalisation=running)
    learner = make_learner(dataclasses.replace(config, policy=policy), make_env(env))
    history = learner.algorithm.state_weight.history
    assert isinstance(history, History)
    state = jax.jit(learner.init, static_argnums=0)(0)
    return Setting(
        learner,
        history,
        state,
        play=jax.jit(lambda state: collect(learner, state)),
        evaluate=jax.jit(lambda state, trajectory: learner.valued(state, trajectory)[0]),
    )


class Setting(NamedTuple):
    learner: Any
    history: History
    state: Any
    play: Callable
    evaluate: Callable


def shifted(params, by):
    return jax.tree.map(lambda x: x + by, params)


@cache
def written(recurrent):
    """A ring after one iteration, after two and so on, and what went into it."""
    _, history, state, play, evaluate = setting(recurrent)
    draw, write, moved = jax.jit(history.draw), jax.jit(history.write), jax.jit(history.moved)
    rings, put = [state.state_weight.ring], []
    for k in range(5):
        actor, ring = shifted(state.actor, 0.03 * k), rings[-1]
        for agent in range(2):  # the update that led to these policies
            ring = moved(ring, actor, jnp.array([agent]))
        now = state.replace(actor=actor)
        sample = draw(evaluate(now, play(now)), jax.random.PRNGKey(k))
        rings.append(write(ring, sample, actor))
        put.append((sample, actor))
    return history, rings, put


@partial(jax.jit, static_argnums=0)
def joint_log_prob(team, params, sample):
    """log π(a | s) of the living, agent by agent."""
    total = 0.0
    for agent in range(team.num_members):
        one = jnp.array([agent])
        output, _ = team.unroll(
            team.select(params, one),
            sample.observation[:, :, one],
            sample.memory[:, one],
            sample.first,
        )
        available = sample.available_actions[:, :, one]
        log_prob = team.distribution.log_prob(output, sample.action[:, :, one], available)
        total = total + jnp.where(sample.alive[:, :, agent], log_prob[:, :, 0, 0], 0)
    return total


@pytest.mark.parametrize("recurrent", [False, True], ids=["plain", "gru"])
@pytest.mark.parametrize("times", [1, 2, 5])
def test_every_slot_is_judged_by_every_policy(recurrent, times):
    history, rings, put = written(recurrent)
    ring = rings[times]
    kept = {k % SLOTS: put[k] for k in range(times)}  # later ones overwrite
    assert int(ring.count) == times
    for by, (_, actor) in kept.items():
        for of, (sample, _) in kept.items():
            expected = joint_log_prob(history.team, actor, sample)
            np.testing.assert_allclose(ring.behaviour_log_prob[by, of], expected, atol=2e-5)


def test_moved_and_mixture_against_the_definition():
    history, rings, put = written(recurrent=False)
    ring, put = rings[2], put[:2]
    target = shifted(put[-1][1], 0.05)
    ring = jax.jit(history.moved)(ring, target, jnp.array([0, 1]))
    samples = jax.jit(history.samples)(ring)
    behaviour = np.stack(
        [
            np.stack([joint_log_prob(history.team, actor, sample) for sample, _ in put])
            for _, actor in put
        ]
    )
    mixture = np.exp(behaviour).mean(0)
    aim = np.stack([joint_log_prob(history.team, target, sample) for sample, _ in put])
    size = aim.size
    np.testing.assert_allclose(samples.ratio[:size], (np.exp(aim) / mixture).ravel(), rtol=1e-4)
    weight = np.asarray(samples.weight).reshape(SLOTS, -1)
    assert not weight[2:].any(), "an empty slot has no weight"
    assert weight[:2].sum() > 0.8 * size


def test_transitions_in_both_forms():
    begun = setting(env="probe/truncation")
    trajectory = begun.play(begun.state)
    stationary = transitions(trajectory, discount=1.0)
    np.testing.assert_array_equal(stationary.continues, 1)
    np.testing.assert_array_equal(stationary.weight[:-1], 1)
    np.testing.assert_array_equal(stationary.weight[-1], 0)
    discounted = transitions(trajectory, discount=0.9)
    np.testing.assert_array_equal(discounted.initial_weight, trajectory.first)
    np.testing.assert_array_equal(discounted.continues, ~np.asarray(trajectory.terminated))
    age = np.zeros(trajectory.reward.shape[1])
    for t in range(len(trajectory.reward) - 1):
        age = np.where(trajectory.first[t], 0, age)
        expected = np.where(trajectory.truncated[t], 0, 0.9**age)
        np.testing.assert_allclose(discounted.weight[t], expected, rtol=1e-6)
        age = age + 1


def test_more_samples_than_a_batch_has_takes_all_of_it():
    _, history, state, play, evaluate = setting(samples=1000)
    batch = evaluate(state, play(state))
    ring = state.state_weight.ring
    ring = history.write(ring, history.draw(batch, jax.random.PRNGKey(0)), state.actor)
    assert ring.log_prob.shape == (SLOTS, 1, 16 * 16, 2)


def test_every_beginning_is_drawn_and_nothing_else():
    _, history, state, play, evaluate = setting(samples=64)
    trajectory = play(state)
    marked = trajectory.state.at[:, :, 0, 0].set(0).at[0, 0, 0, 0].set(1)
    marked = marked.at[7, 3, 0, 0].set(2).at[15, 15, 0, 0].set(3)
    first = marked[:, :, 0, 0] > 0
    batch = evaluate(state, trajectory.replace(first=first, state=marked))
    drawn = history.draw(batch, jax.random.PRNGKey(1)).initial[:, 0]
    assert set(np.asarray(drawn)) == {1, 2, 3}


@pytest.mark.parametrize("begun", [True, False])
def test_initial_states_come_from_the_whole_batch_or_count_nothing(begun):
    _, history, state, play, evaluate = setting(samples=8)
    trajectory = play(state)
    first = jnp.zeros_like(trajectory.first).at[5, 3].set(begun)
    batch = evaluate(state, trajectory.replace(first=first))
    sample = history.draw(batch, jax.random.PRNGKey(1))
    np.testing.assert_array_equal(sample.initial_weight, float(begun))
    if begun:
        for row in sample.initial:
            np.testing.assert_array_equal(row, trajectory.state[5, 3, 0])


def test_slots_are_judged_anew_where_statistics_of_the_inputs_have_moved():
    """They move after `moved` has noted what the new policies make of the ring."""
    learner, history, state, play, evaluate = setting(env="probe/credit", running=True)
    trajectory = play(state)
    batch = evaluate(state, trajectory)
    sample = jax.jit(history.draw)(batch, jax.random.PRNGKey(0))
    write, moved = jax.jit(history.write), jax.jit(history.moved)
    ring = write(state.state_weight.ring, sample, state.actor)
    trained = state.actor | {"params": shifted(state.actor["params"], 0.05)}
    ring = moved(ring, trained, jnp.array([0, 1]))
    seen = jax.jit(learner.team.observe)(trained, trajectory.observation, trajectory.alive)
    ring = write(ring, sample, seen)
    expected = joint_log_prob(history.team, seen, sample)
    for slot in (0, 1):
        np.testing.assert_allclose(ring.behaviour_log_prob[1, slot], expected, atol=2e-5)
    stale = joint_log_prob(history.team, trained, sample)
    assert np.abs(stale - expected).max() > 1e-3, "the comparison must be able to fail"
