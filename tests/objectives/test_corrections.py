"""The clip range correction: its formula, its ends, its symmetry."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import corrections as oracle

from opspo.algorithms import MAPPOConfig
from opspo.errors import ConfigError
from opspo.objectives import agent_clips, clip_ranges

opspo_range = jax.jit(clip_ranges.corrected)
epsilons = st.sampled_from([(0.2, 0.05), (0.1, 0.05), (0.2, 0.1), (0.3, 0.01)])
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def ranges(log_ratio, epsilons):
    clip, others_clip = epsilons
    return [np.asarray(x) for x in opspo_range(log_ratio, clip=clip, others_clip=others_clip)]


@given(seed=st.integers(0, 2**31), spread=st.sampled_from([0.05, 0.3, 2.0]), epsilons=epsilons)
def test_range_and_weight_are_the_printed_ones(seed, spread, epsilons):
    log_ratio = spread * np.random.default_rng(seed).normal(size=12)
    weight, low, high = ranges(log_ratio, epsilons)
    for index, r in enumerate(np.exp(log_ratio)):
        expected = oracle.clip_range(r, *epsilons)
        np.testing.assert_allclose((low[index], high[index], weight[index]), expected, **CLOSE)


@given(epsilons=epsilons)
def test_full_range_where_the_team_mates_have_not_moved(epsilons):
    weight, low, high = ranges(np.zeros(12), epsilons)
    np.testing.assert_allclose(weight, 1, **CLOSE)
    np.testing.assert_allclose(low, 1 - epsilons[0], **CLOSE)
    np.testing.assert_allclose(high, 1 + epsilons[0], **CLOSE)


@given(epsilons=epsilons)
def test_narrow_range_where_they_are_far_away(epsilons):
    for sign in (1, -1):
        weight, low, high = ranges(sign * np.linspace(0.5, 30, 12), epsilons)
        np.testing.assert_allclose(weight, 1 + sign * epsilons[0], **CLOSE)
        np.testing.assert_allclose(low, 1 - epsilons[1], **CLOSE)
        np.testing.assert_allclose(high, 1 + epsilons[1], **CLOSE)


@given(epsilons=epsilons)
def test_range_narrows_with_distance_down_to_the_floor(epsilons):
    _, low, high = ranges(np.linspace(0, 0.5, 12), epsilons)
    assert (np.diff(low) >= 0).all()
    assert low[1] > low[0]
    assert (np.diff(high) <= 0).all()
    assert high[1] < high[0]


@given(seed=st.integers(0, 2**31), epsilons=epsilons)
def test_range_is_the_same_for_a_ratio_and_its_inverse(seed, epsilons):
    log_ratio = 0.2 * np.random.default_rng(seed).normal(size=12)
    _, low, high = ranges(log_ratio, epsilons)
    _, low_inverse, high_inverse = ranges(-log_ratio, epsilons)
    np.testing.assert_allclose(low, low_inverse, **CLOSE)
    np.testing.assert_allclose(high, high_inverse, **CLOSE)


@given(epsilons=epsilons)
def test_weight_follows_the_ratio_inside_its_bounds(epsilons):
    inside = np.linspace(1 - epsilons[0], 1 + epsilons[0], 12)
    np.testing.assert_allclose(ranges(np.log(inside), epsilons)[0], inside, **CLOSE)


def test_ppo_range_does_not_look_at_the_team_mates():
    log_ratio = np.random.default_rng(0).normal(size=(3, 2, 4))
    weight, low, high = clip_ranges.ppo(log_ratio, clip=0.2)
    for got, expected in ((weight, 1.0), (low, 0.8), (high, 1.2)):
        np.testing.assert_allclose(got, np.full((3, 2, 4), expected), **CLOSE)


def test_ratio_range_weighs_by_the_ratio_alone():
    log_ratio = np.random.default_rng(0).normal(size=12)
    weight, low, high = clip_ranges.ratio(log_ratio, clip=0.2)
    np.testing.assert_allclose(weight, np.exp(log_ratio), **CLOSE)
    np.testing.assert_allclose(low, np.full(12, 0.8), **CLOSE)
    np.testing.assert_allclose(high, np.full(12, 1.2), **CLOSE)


@pytest.mark.parametrize("shape", [(6, 2, 3), (6, 1)])
@pytest.mark.parametrize("spread", [0.0, 0.3, 2.0])
def test_effective_weight_is_bounded_by_the_effective_share(shape, spread):
    log_ratio = spread * np.random.default_rng(0).normal(size=shape)
    weight, low, high = clip_ranges.effective(log_ratio, clip=0.2)
    for agent in range(shape[-1]):
        r = np.exp(log_ratio[..., agent]).ravel()
        share = r.sum() ** 2 / (len(r) * (r**2).sum())
        expected = [min(each, share) for each in r]
        np.testing.assert_allclose(np.asarray(weight)[..., agent].ravel(), expected, **CLOSE)
    np.testing.assert_allclose(low, np.full(shape, 0.8), **CLOSE)
    np.testing.assert_allclose(high, np.full(shape, 1.2), **CLOSE)


def test_effective_weight_is_for_sequential_algorithms():
    with pytest.raises(ConfigError, match="another than 'effective' for simultaneous"):
        MAPPOConfig(clip_range="effective")


def test_joint_range_clips_the_product_of_the_ratios():
    """min( r r^i A, clip(r r^i, 1 ± ε) A ), written out."""
    rng = np.random.default_rng(0)
    log_ratio, own, advantage = rng.normal(size=(3, 40))
    weight, low, high = clip_ranges.joint(log_ratio, clip=0.2)
    got = weight * np.minimum(np.exp(own) * advantage, np.clip(np.exp(own), low, high) * advantage)
    for index, (r, r_own, a) in enumerate(
        zip(np.exp(log_ratio), np.exp(own), advantage, strict=True)
    ):
        expected = min(r * r_own * a, oracle.clip(r * r_own, 0.8, 1.2) * a)
        np.testing.assert_allclose(got[index], expected, **CLOSE)


@given(seed=st.integers(0, 2**31), spread=st.sampled_from([0.05, 0.3, 2.0]), epsilons=epsilons)
def test_double_clip_bounds_the_product_of_the_ratios(seed, spread, epsilons):
    """However far the team-mates are, g times the own range is 1 ± ε1."""
    clip, others_clip = epsilons
    log_ratio = spread * np.random.default_rng(seed).normal(size=12)
    g, low, high = clip_ranges.double(log_ratio, clip=clip, others_clip=others_clip)
    for index, r in enumerate(np.exp(log_ratio)):
        expected = oracle.clip(r, 1 - others_clip, 1 + others_clip)
        np.testing.assert_allclose(g[index], expected, **CLOSE)
    np.testing.assert_allclose(g * low, np.full(12, 1 - clip), **CLOSE)
    np.testing.assert_allclose(g * high, np.full(12, 1 + clip), **CLOSE)


def test_position_clip_grows_from_just_over_a_half_to_all_of_it():
    got = agent_clips.position_clip(np.array([1, 2, 3, 4]) / 4, clip=0.2)
    np.testing.assert_allclose(got, [0.125, 0.15, 0.175, 0.2], **CLOSE)


nearness = jax.jit(agent_clips.nearness)


@given(
    seed=st.integers(0, 2**31), spread=st.sampled_from([0.0, 0.1, 1.0]), agents=st.integers(1, 5)
)
def test_nearness_is_a2pos_clip_by_ratios(seed, spread, agents):
    log_ratios = spread * np.random.default_rng(seed).normal(size=(4, 3, agents))
    expected = oracle.ratio_clips(np.exp(log_ratios).reshape(-1, agents).tolist(), 0.2)
    np.testing.assert_allclose(0.2 * nearness(log_ratios), expected, rtol=1e-10)


def test_nearness_by_pen_and_paper():
    """r = (1/2, 1, 3): 1 + |1 − r| = (3/2, 1, 3), from the end (9/2, 3, 3); m = (2/9, 1/3, 1/3)."""
    got = nearness(np.log(np.array([[0.5, 1.0, 3.0]])))
    np.testing.assert_allclose(got, [2 / 3, 1, 1], rtol=1e-12)
    np.testing.assert_array_equal(nearness(np.zeros((5, 3))), np.ones(3))
