"""The one surrogate against each algorithm's printed objective, in value and in slope."""

import math
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import corrections as oracle

from opspo.algorithms import (
    A2POConfig,
    CoPPOConfig,
    HAPPOConfig,
    IPPOConfig,
    MAPPOConfig,
    OPSPOConfig,
)
from opspo.objectives import surrogate
from opspo.policies.networks import Networks
from opspo.types import StageData
from opspo.update.compose import compose

SAMPLES = 40
AGENTS = 4
EPS, EPS2 = 0.2, 0.05


CONFIGS = {
    "mappo": MAPPOConfig(clip=EPS),
    "ippo": IPPOConfig(clip=EPS),
    "coppo": CoPPOConfig(clip=EPS, others_clip=EPS2),
    "happo": HAPPOConfig(clip=EPS),
    "a2po": A2POConfig(clip=EPS, others_clip=EPS / 2),
    "opspo": OPSPOConfig(clip=EPS, others_clip=EPS2),
}


@partial(jax.jit, static_argnames="config")
def terms(config, log_ratio, omega, position):
    """Weight and range [S] as the composed algorithm has them, from S samples of one agent."""
    zero = jnp.zeros((log_ratio.shape[0], 1, 1))
    data = StageData(
        reward=zero,
        value=zero,
        next_value=zero,
        done=zero.astype(bool),
        first=zero.astype(bool),
        log_ratio=log_ratio[:, None, None],
        trace_log_ratio=zero,
        density_log_ratio=zero,
        position=position[None],
        nearness=position[None],
        alive=zero.astype(bool),
        stage=np.array(1),
    )
    team = SimpleNamespace(num_members=AGENTS, shared=True)
    algorithm = compose(config, Networks(team=team, critic=None, chunk_length=1))
    correction = algorithm.correct(data, omega[:, None, None])
    found = correction.weight, correction.low, correction.high
    if algorithm.live_range is not None:  # whose weight comes in at each gradient step
        weight, low, high = algorithm.live_range(data.log_ratio)
        found = correction.weight * weight, low, high
    return [x[:, 0, 0] for x in found]


PRINTED = {
    "opspo": lambda own, others, omega, a, i: oracle.opspo(
        own, np.prod(others), omega, a, eps1=EPS, eps2=EPS2
    ),
    "mappo": lambda own, others, omega, a, i: oracle.mappo(own, a, EPS),
    "ippo": lambda own, others, omega, a, i: oracle.mappo(own, a, EPS),
    "coppo": lambda own, others, omega, a, i: oracle.coppo(own, others, a, eps1=EPS, eps2=EPS2),
    "happo": lambda own, others, omega, a, i: oracle.happo(own, np.prod(others), a, EPS),
    "a2po": lambda own, others, omega, a, i: oracle.a2po(
        own, np.prod(others), a, eps=EPS, position=i, num_agents=AGENTS
    ),
}


@jax.jit
def value_and_slope(log_ratio, advantage, weight, low, high):
    def objective(x):
        return surrogate.clipped_surrogate(x, advantage, weight, low, high)

    return jax.jvp(objective, (log_ratio,), (jnp.ones_like(log_ratio),))


@pytest.mark.parametrize("algorithm", list(PRINTED))
@given(seed=st.integers(0, 2**31), spread=st.sampled_from([0.1, 0.5]), position=st.integers(1, 4))
def test_surrogate_is_the_printed_objective(algorithm, seed, spread, position):
    rng = np.random.default_rng(seed)
    own = spread * rng.normal(size=SAMPLES)
    others = spread * rng.normal(size=(SAMPLES, AGENTS - 1))
    # only OPSPO has state weights; the others' are 1
    omega = rng.exponential(size=SAMPLES) if algorithm == "opspo" else np.ones(SAMPLES)
    advantage = rng.normal(size=SAMPLES)
    place = np.array(position / AGENTS)
    weight, low, high = terms(CONFIGS[algorithm], others.sum(-1), omega, place)
    value, slope = value_and_slope(own, advantage, weight, low, high)

    def printed(x, index):
        ratios = np.exp(others[index])
        arguments = (ratios, omega[index], advantage[index], position)
        return PRINTED[algorithm](np.exp(x), *arguments)

    smooth = 0
    for index in range(SAMPLES):
        here = printed(own[index], index)
        np.testing.assert_allclose(value[index], here, rtol=1e-10, atol=1e-14)
        step = 1e-6
        right = (printed(own[index] + step, index) - here) / step
        left = (here - printed(own[index] - step, index)) / step
        if abs(right - left) < 1e-4:  # else the corner lies between
            smooth += 1
            np.testing.assert_allclose(slope[index], (left + right) / 2, atol=1e-6)
    assert smooth > SAMPLES // 2


def test_printed_objectives_differ_from_one_another():
    """So that the agreement above cannot come from samples on which all of them coincide."""
    own, others, omega, advantage = 1.3, [1.4, 1.2, 0.9], 0.7, -1.0
    names = [name for name in PRINTED if name != "ippo"]  # whose objective is MAPPO's
    values = [PRINTED[name](own, others, omega, advantage, 2) for name in names]
    gaps = [abs(a - b) for i, a in enumerate(values) for b in values[:i]]
    assert min(gaps) > 1e-3


@given(seed=st.integers(0, 2**31))
def test_state_weights_are_kept_between_their_bounds(seed):
    rng = np.random.default_rng(seed)
    omega, still, place = rng.exponential(size=SAMPLES), np.zeros(SAMPLES), np.array(1.0)
    for low, high in [(0.0, 1.0), (0.5, 2.0), (0.0, math.inf), (1.0, 1.0)]:
        config = OPSPOConfig(state_weight_min=low, state_weight_max=high)
        expected = [min(max(w, low), high) for w in omega]
        np.testing.assert_allclose(terms(config, still, omega, place)[0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "slope"),
    [
        (1.0, 2.0, 3 * 2.0, 3 * 2.0),
        (1.5, 2.0, 3 * 1.2 * 2, 0.0),  # already far enough for a good action
        (1.5, -2.0, 3 * 1.5 * -2, 3 * 1.5 * -2),  # a bad action is pulled back from anywhere
        (0.5, 2.0, 3 * 0.5 * 2, 3 * 0.5 * 2),
        (0.5, -2.0, 3 * 0.8 * -2, 0.0),
        (1.5, 0.0, 0.0, 0.0),
    ],
)
def test_the_four_corners_of_the_clip(ratio, advantage, value, slope):
    weight = 3.0
    arguments = (np.log(ratio), advantage, weight, 0.8, 1.2)
    got = jax.jvp(lambda x: surrogate.clipped_surrogate(x, *arguments[1:]), (arguments[0],), (1.0,))
    np.testing.assert_allclose(got, (value, slope), rtol=1e-12)


@given(seed=st.integers(0, 2**31), spread=st.sampled_from([0.1, 1.0]))
def test_is_clipped_exactly_where_the_gradient_vanishes(seed, spread):
    rng = np.random.default_rng(seed)
    log_ratio = spread * rng.normal(size=SAMPLES)
    advantage = rng.normal(size=SAMPLES)
    weight = rng.uniform(0.1, 2, size=SAMPLES)
    low, high = rng.uniform(0.7, 1, size=SAMPLES), rng.uniform(1, 1.3, size=SAMPLES)
    _, slope = value_and_slope(log_ratio, advantage, weight, low, high)
    held = surrogate.is_clipped(log_ratio, advantage, low, high)
    np.testing.assert_array_equal(held, np.asarray(slope) == 0)
    if spread == 1.0:
        assert 0 < held.sum() < SAMPLES


def test_a_sample_without_advantage_is_not_clipped():
    log_ratio = np.array([-1.0, 0.0, 1.0])
    assert not surrogate.is_clipped(log_ratio, np.zeros(3), np.full(3, 0.8), np.full(3, 1.2)).any()


@given(seed=st.integers(0, 2**31))
def test_surrogate_never_exceeds_the_plain_one(seed):
    rng = np.random.default_rng(seed)
    log_ratio, advantage = rng.normal(size=(2, SAMPLES))
    one = np.ones(SAMPLES)
    value, _ = value_and_slope(log_ratio, advantage, one, 0.8 * one, 1.2 * one)
    assert (np.asarray(value) <= np.exp(log_ratio) * advantage + 1e-12).all()
