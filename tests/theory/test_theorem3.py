"""Theorem 3: the corrected range keeps the update as near to π̂^{i−1} as PPO's range would.

With the base range (l, h) scaled by r^{i−1} = π̂^{i−1} / π, the nearest maximiser of the surrogate
on π's data is as far from π̂^{i−1} as PPO's with (l, h) on data of π̂^{i−1} itself.
"""

import math

import jax
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from oracles import theorem3 as oracle

from opspo.objectives.clip_ranges import corrected
from opspo.objectives.surrogate import clipped_surrogate

ACTIONS = 5
seeds = st.integers(0, 2**31)
signs = st.sampled_from([-1.5, 0.7])
ranges = st.sampled_from([(0.8, 1.2), (0.95, 1.05), (0.7, 1.6)])


def policies(seed):
    """π and π̂^{i−1} of all the joint actions, and the action that was sampled."""
    rng = np.random.default_rng(seed)
    behaviour = rng.dirichlet(np.ones(ACTIONS)) * 0.95 + 0.01
    current = behaviour * np.exp(0.5 * rng.normal(size=ACTIONS))
    return behaviour, current / current.sum(), int(rng.integers(ACTIONS))


@given(seed=seeds, advantage=signs, base=ranges)
def test_closed_forms_are_what_an_optimiser_finds(seed, advantage, base):
    behaviour, current, action = policies(seed)
    ratio = current[action] / behaviour[action]
    scaled = [ratio * end for end in base]
    interval = oracle.maximising_probabilities(
        lambda x: oracle.surrogate(x, behaviour[action], advantage, *scaled)
    )
    printed = oracle.printed_maximiser(current, action, advantage, *base)
    distance = oracle.printed_kl(current[action], advantage, *base)
    if math.isinf(distance):
        assert interval == (1.0, 1.0)
        assert printed[action] == 1 and oracle.kl(current, printed) == math.inf
        return
    assume(current[action] * base[1] < 0.98)  # beyond, the optimiser's numbers are poor
    found = oracle.nearest(current, action, interval)
    np.testing.assert_allclose(found, printed, atol=2e-5)
    np.testing.assert_allclose(oracle.kl(current, found), distance, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(oracle.kl(current, printed), distance, rtol=1e-10, atol=1e-14)


def maximal_distance(seeds, advantages, objective_of):
    """max_t over samples, by the optimiser alone; +∞ where only certainty maximises."""
    distances = []
    for seed, advantage in zip(seeds, advantages, strict=True):
        behaviour, current, action = policies(seed)
        arguments = (behaviour[action], current[action], advantage)
        interval = oracle.maximising_probabilities(lambda x, a=arguments: objective_of(x, *a))
        if interval[0] == 1:
            return math.inf
        distances.append(oracle.kl(current, oracle.nearest(current, action, interval)))
    return max(distances)


@given(seed=st.integers(0, 2**31 - 9), base=ranges)
def test_as_far_as_ppo_on_data_of_its_own(seed, base):
    samples = range(seed, seed + 4)
    advantages = np.random.default_rng(seed).normal(size=4)

    def corrected(x, behaviour, current, advantage):
        scaled = [current / behaviour * end for end in base]
        return oracle.surrogate(x, behaviour, advantage, *scaled)

    def on_policy(x, behaviour, current, advantage):
        del behaviour
        return oracle.surrogate(x, current, advantage, *base)

    off, on = (maximal_distance(samples, advantages, f) for f in (corrected, on_policy))
    np.testing.assert_allclose(off, on, rtol=1e-6, atol=1e-9)


@given(seed=seeds, advantage=signs)
def test_the_librarys_surrogate_is_the_one_of_the_theorem(seed, advantage):
    """Weight r and the range (l, h) for the own ratio: clip(R, l r, h r) for the joint one."""
    behaviour, current, action = policies(seed)
    log_ratio = np.log(current[action] / behaviour[action])
    with jax.enable_x64(True):
        _, low, high = corrected(np.array([log_ratio]), clip=0.2, others_clip=0.05)
        x = np.linspace(0.01, 0.99, 25)
        own = np.log(x / current[action])
        got = clipped_surrogate(own, advantage, np.exp(log_ratio), low, high)
    ratio = math.exp(log_ratio)
    ends = (ratio * float(low[0]), ratio * float(high[0]))
    expected = [oracle.surrogate(y, behaviour[action], advantage, *ends) for y in x]
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("advantage", [-1.0, 1.0])
def test_without_the_scaling_the_distance_is_another(advantage):
    """A range for the joint ratio that does not move with r: at some samples no step is left at
    all, at others the step is too long."""
    base, behaviour, action = (0.8, 1.2), np.array([0.3, 0.7]), 0
    distances = []
    for p in (0.2, 0.3, 0.4):
        current = np.array([p, 1 - p])
        interval = oracle.maximising_probabilities(
            lambda x: oracle.surrogate(x, behaviour[action], advantage, *base)
        )
        found = oracle.nearest(current, action, interval)
        distances.append(oracle.kl(current, found) / oracle.printed_kl(p, advantage, *base))
    below, on_policy, above = distances if advantage > 0 else distances[::-1]
    np.testing.assert_allclose(on_policy, 1, rtol=1e-4)
    assert below > 2
    assert above < 0.1


def test_at_no_advantage_nothing_has_to_move():
    """The theorem counts A = 0 to A < 0, where its maximiser is at l p; but every policy is a
    maximiser then, and the nearest is π̂^{i−1} itself. The claim holds: 0 on either side."""
    behaviour, current, action = policies(3)
    interval = oracle.maximising_probabilities(
        lambda x: oracle.surrogate(x, behaviour[action], 0.0, 0.8, 1.2)
    )
    assert interval == (0.0, 1.0)
    np.testing.assert_allclose(oracle.nearest(current, action, interval), current, atol=1e-4)
    assert oracle.printed_kl(current[action], 0.0, 0.8, 1.2) > 0
