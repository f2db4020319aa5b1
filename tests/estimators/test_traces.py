"""Advantages and value targets against explicit sums, against rlax, and their properties."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from hypothesis import given
from hypothesis import strategies as st
from oracles import traces as oracle

from opspo.estimators import advantages, trace_decays, traces, value_targets

SHAPES = [(1, 2, 1), (2, 1, 2), (7, 3, 2)]
CLOSE = {"rtol": 1e-10, "atol": 1e-10}

gae = jax.jit(advantages.gae)


def one_step(reward, value, next_value, done, log_ratio, *, gamma, **numbers):
    """`td` with the arguments of the others, in the shape of the log-ratio."""
    return jnp.broadcast_to(advantages.td(reward, value, next_value, gamma=gamma), log_ratio.shape)


def with_a_model(reward, value, next_value, done, log_ratio, **numbers):
    """`doubly_robust` with the arguments of the others, and some model."""
    own, shift = (jnp.broadcast_to(x, log_ratio.shape) for x in (0.2 * reward, 0.1 * value))
    return advantages.doubly_robust(
        reward, value, next_value, done, log_ratio, 0.3 * reward, own, shift, **numbers
    )


CORRECTED = {
    name: jax.jit(function, static_argnames=("trace_clip", "trace_decay"))
    for name, function in {
        "td": one_step,
        "vtrace_next": advantages.vtrace_next,
        "trace": advantages.trace,
        "doubly_robust": with_a_model,
        "printed_target": value_targets.printed,
        "vtrace_target": value_targets.vtrace,
    }.items()
}
robust = jax.jit(advantages.doubly_robust, static_argnames="trace_clip")
CORRECTED["running"] = jax.jit(trace_decays.running, static_argnames="trace_clip")
DECAYS = {"factor": trace_decays.factor, "bound": trace_decays.bound, "twice": trace_decays.twice}
ORACLES = {
    "vtrace_next": oracle.vtrace_next_advantage,
    "trace": oracle.preceding_agent_trace,
    "printed_target": oracle.eq14_target,
    "vtrace_target": oracle.vtrace_target,
}


class Stream(NamedTuple):
    """A consistent batch: V(s_{t+1}) is the next step's value unless the episode ended."""

    reward: np.ndarray
    value: np.ndarray
    next_value: np.ndarray
    done: np.ndarray
    log_ratio: np.ndarray
    terminated: np.ndarray


def make_stream(shape, seed, end=0.4, spread=0.8, truncate=0.5):
    rng = np.random.default_rng(seed)
    steps, envs, _ = shape
    reward, value = rng.normal(size=(2, steps, envs, 1))
    done = rng.random((steps, envs, 1)) < end
    terminated = done & (rng.random((steps, envs, 1)) >= truncate)
    following = np.concatenate([value[1:], rng.normal(size=(1, envs, 1))])
    following = np.where(done, rng.normal(size=following.shape), following)
    following[terminated] = 0
    log_ratio = spread * rng.normal(size=shape)
    return Stream(reward, value, following, done, log_ratio, terminated)


unit = st.floats(0, 1)
streams = st.builds(
    make_stream,
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 2**31),
    end=st.sampled_from([0.0, 0.4, 1.0]),
    spread=st.sampled_from([0.0, 0.3, 1.5]),
)


@given(stream=streams, gamma=unit, lam=unit)
def test_gae_is_its_sum(stream, gamma, lam):
    arrays = stream[:4]
    expected = oracle.over_streams(oracle.gae, *arrays, gamma=gamma, lam=lam)
    np.testing.assert_allclose(gae(*arrays, gamma=gamma, gae_lambda=lam), expected, **CLOSE)


@pytest.mark.parametrize("name", list(ORACLES))
@given(stream=streams, gamma=unit, lam=unit)
def test_corrected_estimators_are_their_double_sums(name, stream, gamma, lam):
    arrays = stream[:4]
    ratio = np.exp(stream.log_ratio)
    expected = oracle.over_streams(ORACLES[name], *arrays, ratio, gamma=gamma, lam=lam)
    got = CORRECTED[name](*arrays, stream.log_ratio, gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(got, expected, **CLOSE)


@pytest.mark.parametrize("trace_clip", [0.7, 1.0, 1.5])
@given(stream=streams, gamma=unit, lam=unit, seed=st.integers(0, 2**31))
def test_the_doubly_robust_trace_is_its_double_sum(trace_clip, stream, gamma, lam, seed):
    rng = np.random.default_rng(seed)
    q = rng.normal(size=stream.reward.shape)
    own, shift = rng.normal(size=(2, *stream.log_ratio.shape))
    arrays = (*stream[:4], np.exp(stream.log_ratio), q, own, shift)
    numbers = {"gamma": gamma, "trace_clip": trace_clip}
    slow = oracle.over_streams(oracle.doubly_robust, *arrays, lam=lam, **numbers)
    got = robust(*stream[:5], q, own, shift, gae_lambda=lam, **numbers)
    np.testing.assert_allclose(got, slow, **CLOSE)


@pytest.mark.parametrize("decay", list(DECAYS))
@pytest.mark.parametrize("trace_clip", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("name", list(ORACLES))
@given(stream=streams, gamma=unit, lam=unit)
def test_bounds_and_decays_of_the_traces(name, trace_clip, decay, stream, gamma, lam):
    arrays = stream[:4]
    numbers = {"gamma": gamma, "trace_clip": trace_clip}
    ratio = np.exp(stream.log_ratio)
    slow = oracle.over_streams(ORACLES[name], *arrays, ratio, lam=lam, decay=decay, **numbers)
    got = CORRECTED[name](
        *arrays, stream.log_ratio, gae_lambda=lam, trace_decay=DECAYS[decay], **numbers
    )
    np.testing.assert_allclose(got, slow, **CLOSE)


def test_the_two_decays_differ_only_below_the_bound():
    """λ inside the minimum shortens a trace of any ratio, outside only of those above λ."""
    log_ratio = np.log([0.3, 0.8, 0.95, 1.0, 4.0])
    numbers = {"gae_lambda": 0.9, "trace_clip": 1.0}
    factor = trace_decays.factor(log_ratio, **numbers)
    bound = trace_decays.bound(log_ratio, **numbers)
    np.testing.assert_allclose(factor, [0.27, 0.72, 0.855, 0.9, 0.9], **CLOSE)
    np.testing.assert_allclose(bound, [0.3, 0.8, 0.9, 0.9, 0.9], **CLOSE)


@pytest.mark.parametrize("trace_clip", [0.7, 1.0, 1.5])
@given(stream=streams, lam=unit)
def test_steady_decays_are_lambda_in_the_mean(trace_clip, stream, lam):
    """λ min(c̄, r) / m, at most 1; each agent has a mean of its own."""
    got = trace_decays.steady(stream.log_ratio, gae_lambda=lam, trace_clip=trace_clip)
    ratio = np.exp(stream.log_ratio)
    for agent in range(ratio.shape[-1]):
        kept = [min(trace_clip, r) for r in ratio[..., agent].ravel()]
        mean = sum(kept) / len(kept)
        expected = [min(1.0, lam * each / mean) for each in kept]
        np.testing.assert_allclose(np.asarray(got)[..., agent].ravel(), expected, **CLOSE)


def test_steady_traces_do_not_shrink_with_the_drift():
    """r = 1/2 everywhere halves the trace of `factor`; `steady` sees that no step stands out."""
    log_ratio = np.log(np.full((4, 3, 1), 0.5))
    numbers = {"gae_lambda": 0.9, "trace_clip": 1.0}
    np.testing.assert_allclose(trace_decays.factor(log_ratio, **numbers), 0.45 + 0 * log_ratio)
    np.testing.assert_allclose(trace_decays.steady(log_ratio, **numbers), 0.9 + 0 * log_ratio)


@pytest.mark.parametrize("trace_clip", [0.7, 1.0, 1.5])
@given(stream=streams, gamma=unit, lam=unit)
def test_the_running_trace_is_its_double_sum(trace_clip, stream, gamma, lam):
    numbers = {"gamma": gamma, "trace_clip": trace_clip}
    ratio = np.exp(stream.log_ratio)
    slow = oracle.over_streams(oracle.running_trace, *stream[:4], ratio, lam=lam, **numbers)
    got = CORRECTED["running"](*stream[:5], gae_lambda=lam, **numbers)
    np.testing.assert_allclose(got, slow, **CLOSE)


def test_a_large_ratio_makes_up_for_a_small_one_in_the_running_trace():
    """r = 1/2 and then 4: the product is cut to 1, where cutting each leaves 1/2."""
    zero = np.zeros((3, 1, 1))
    reward = np.array([0.0, 0.0, 8.0]).reshape(3, 1, 1)
    log_ratio = np.log(np.array([9.0, 0.5, 4.0])).reshape(3, 1, 1)
    arrays = (reward, zero, zero, zero.astype(bool), log_ratio)
    numbers = {"gamma": 1.0, "gae_lambda": 0.5}
    np.testing.assert_allclose(CORRECTED["running"](*arrays, **numbers)[0], 2.0, **CLOSE)
    np.testing.assert_allclose(CORRECTED["trace"](*arrays, **numbers)[0], 1.0, **CLOSE)


@pytest.mark.parametrize("decay", ["factor", "bound"])
@given(stream=streams, gamma=unit, lam=unit)
def test_trace_without_a_moved_team_mate_is_gae(decay, stream, gamma, lam):
    still = np.zeros_like(stream.log_ratio)
    got = CORRECTED["trace"](
        *stream[:4], still, gamma=gamma, gae_lambda=lam, trace_decay=DECAYS[decay]
    )
    expected = gae(*stream[:4], gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), **CLOSE)


@given(stream=streams, gamma=unit, lam=unit)
def test_td_is_one_step_for_each_agent(stream, gamma, lam):
    got = CORRECTED["td"](*stream[:5], gamma=gamma, gae_lambda=lam)
    delta = stream.reward + gamma * stream.next_value - stream.value
    np.testing.assert_allclose(traces.td_error(*stream[:3], gamma=gamma), delta, **CLOSE)
    assert got.shape == stream.log_ratio.shape
    for agent in range(got.shape[-1]):
        np.testing.assert_allclose(got[..., agent], delta[..., 0], **CLOSE)


def test_a_worked_example():
    """Numbers small enough for pen and paper: γ = 1/2, λ = 1/2, V = 0, rewards 8."""
    reward = np.full((3, 1, 1), 8.0)
    zero = np.zeros_like(reward)
    done = zero.astype(bool)
    log_ratio = np.log(np.array([4.0, 0.5, 2.0])).reshape(3, 1, 1)
    arrays, numbers = (reward, zero, zero, done), {"gamma": 0.5, "gae_lambda": 0.5}
    expected = {
        # c = (1/2, 1/4, 1/2)
        "trace": [8 + 1 + 0.25, 8 + 2, 8],
        "printed_target": [4 + 0.5 + 0.125, 2 + 0.5, 4],
        # v = (8 + 1 + .25, 4 + 1, 8), and A = 8 + v_{t+1} / 2
        "vtrace_next": [8 + 2.5, 8 + 4, 8],
        "vtrace_target": [8 + 1 + 0.25, 4 + 1, 8],
        "td": [8, 8, 8],
    }
    for name, answer in expected.items():
        got = CORRECTED[name](*arrays, log_ratio, **numbers)
        np.testing.assert_allclose(got[:, 0, 0], answer, **CLOSE)
    np.testing.assert_allclose(gae(*arrays, **numbers)[:, 0, 0], [10.5, 10, 8], **CLOSE)


def on_rlax(function, *columns):
    """Call rlax, which mixes dtypes and ranks, for each environment."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        each = jax.vmap(function, in_axes=-1, out_axes=-1)
        return each(*(jnp.asarray(x[..., 0]) for x in columns))


def without_truncations(seed):
    """rlax knows terminations in the middle (as discount 0), but no truncations."""
    return make_stream((7, 3, 1), seed, truncate=0.0)


@given(seed=st.integers(0, 2**31), gamma=unit, lam=unit)
def test_gae_agrees_with_rlax(seed, gamma, lam):
    stream = without_truncations(seed)
    discount = gamma * (1.0 - stream.terminated)
    values = np.concatenate([stream.value, stream.next_value[-1:]])
    expected = on_rlax(
        lambda r, d, v: rlax.truncated_generalized_advantage_estimation(r, d, lam, v),
        stream.reward,
        discount,
        values,
    )
    got = gae(*stream[:4], gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(got[..., 0], expected, **CLOSE)


@given(seed=st.integers(0, 2**31), gamma=unit, lam=unit)
def test_trace_and_vtrace_agree_with_rlax(seed, gamma, lam):
    stream = without_truncations(seed)
    discount = gamma * (1.0 - stream.terminated)
    ratio = np.exp(stream.log_ratio)
    columns = (stream.value, stream.next_value, stream.reward, discount, ratio)
    out = on_rlax(lambda *x: rlax.vtrace_td_error_and_advantage(*x, lambda_=lam), *columns)
    numbers = {"gamma": gamma, "gae_lambda": lam}

    # rlax mixes λ of the target with 1 − λ of the value into q: that is A2PO's trace
    trace = CORRECTED["trace"](*stream[:5], **numbers)
    np.testing.assert_allclose(trace[..., 0], out.q_estimate - stream.value[..., 0], **CLOSE)

    # IMPALA's advantage bootstraps from the target whole
    target = np.asarray(out.errors) + stream.value[..., 0]
    ours = CORRECTED["vtrace_target"](*stream[:5], **numbers)
    np.testing.assert_allclose(ours[..., 0], target, **CLOSE)
    following = np.concatenate([target[1:], stream.next_value[-1:, :, 0]])
    expected = stream.reward[..., 0] + discount[..., 0] * following - stream.value[..., 0]
    vtrace_next = CORRECTED["vtrace_next"](*stream[:5], **numbers)
    np.testing.assert_allclose(vtrace_next[..., 0], expected, **CLOSE)


@given(stream=streams, gamma=unit, lam=unit)
def test_trace_is_gae_where_no_ratio_is_below_one(stream, gamma, lam):
    log_ratio = np.abs(stream.log_ratio)
    got = CORRECTED["trace"](*stream[:4], log_ratio, gamma=gamma, gae_lambda=lam)
    expected = gae(*stream[:4], gamma=gamma, gae_lambda=lam)
    np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), **CLOSE)


@given(stream=streams, gamma=unit)
def test_lambda_zero_leaves_one_step(stream, gamma):
    numbers = {"gamma": gamma, "gae_lambda": 0.0}
    delta = np.broadcast_to(
        stream.reward + gamma * stream.next_value - stream.value, stream.log_ratio.shape
    )
    np.testing.assert_allclose(CORRECTED["trace"](*stream[:5], **numbers), delta, **CLOSE)
    np.testing.assert_allclose(gae(*stream[:4], **numbers), delta[..., :1], **CLOSE)
    target = CORRECTED["printed_target"](*stream[:5], **numbers)
    np.testing.assert_allclose(target, np.broadcast_to(stream.value, target.shape), **CLOSE)


@given(seed=st.integers(0, 2**31), gamma=unit, lam=unit)
def test_single_step(seed, gamma, lam):
    stream = make_stream((1, 2, 1), seed)
    numbers = {"gamma": gamma, "gae_lambda": lam}
    delta = stream.reward + gamma * stream.next_value - stream.value
    for name in ("td", "vtrace_next", "trace"):
        np.testing.assert_allclose(CORRECTED[name](*stream[:5], **numbers), delta, **CLOSE)
    np.testing.assert_allclose(gae(*stream[:4], **numbers), delta, **CLOSE)
    c = lam * np.minimum(1, np.exp(stream.log_ratio))
    np.testing.assert_allclose(
        CORRECTED["printed_target"](*stream[:5], **numbers), stream.value + c * delta, **CLOSE
    )


@given(stream=streams, gamma=unit, lam=unit)
def test_trace_bootstraps_from_the_target_of_eq14(stream, gamma, lam):
    numbers = {"gamma": gamma, "gae_lambda": lam}
    target = np.asarray(CORRECTED["printed_target"](*stream[:5], **numbers))
    following = np.broadcast_to(stream.next_value, target.shape).copy()
    following[:-1] = np.where(stream.done[:-1], following[:-1], target[1:])
    expected = stream.reward + gamma * following - stream.value
    np.testing.assert_allclose(CORRECTED["trace"](*stream[:5], **numbers), expected, **CLOSE)


@pytest.mark.parametrize("name", list(CORRECTED))
@given(seed=st.integers(0, 2**31), cut=st.integers(0, 5), truncated=st.booleans())
def test_nothing_after_an_end_changes_what_was_before(name, seed, cut, truncated):
    one, other = make_stream((7, 3, 2), seed), make_stream((7, 3, 2), seed + 1)

    def joined(second):
        pairs = zip(one, second, strict=True)
        stream = Stream(*(np.concatenate([a[: cut + 1], b[cut + 1 :]]) for a, b in pairs))
        stream.done[cut] = True
        stream.next_value[cut] = 0.7 if truncated else 0.0
        return stream

    numbers = {"gamma": 0.9, "gae_lambda": 0.95}
    first, second = joined(one), joined(other)
    got = [np.asarray(CORRECTED[name](*s[:5], **numbers)) for s in (first, second)]
    np.testing.assert_array_equal(got[0][: cut + 1], got[1][: cut + 1])
    assert not np.allclose(got[0][cut + 1 :], got[1][cut + 1 :])
    plain = [np.asarray(gae(*s[:4], **numbers)) for s in (first, second)]
    np.testing.assert_array_equal(plain[0][: cut + 1], plain[1][: cut + 1])


def test_the_past_does_feel_the_future_inside_an_episode():
    stream = make_stream((7, 1, 1), 0, end=0.0, spread=0.3)
    later = stream._replace(reward=stream.reward + (np.arange(7) == 6)[:, None, None])
    numbers = {"gamma": 0.9, "gae_lambda": 0.95}
    for name in ("trace", "vtrace_next", "printed_target", "vtrace_target"):
        change = CORRECTED[name](*later[:5], **numbers) - CORRECTED[name](*stream[:5], **numbers)
        assert (np.asarray(change) > 1e-3).all()


@pytest.mark.parametrize("name", list(CORRECTED))
@given(stream=streams, scale=st.sampled_from([-3.0, 0.01, 250.0]))
def test_unit_of_the_reward(name, stream, scale):
    numbers = {"gamma": 0.97, "gae_lambda": 0.9}
    reward, value, next_value, done, log_ratio, _ = stream
    got = CORRECTED[name](
        scale * reward, scale * value, scale * next_value, done, log_ratio, **numbers
    )
    expected = scale * np.asarray(CORRECTED[name](*stream[:5], **numbers))
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-8)
    plain = gae(scale * reward, scale * value, scale * next_value, done, **numbers)
    np.testing.assert_allclose(
        plain, scale * np.asarray(gae(*stream[:4], **numbers)), rtol=1e-10, atol=1e-8
    )


@given(stream=streams)
def test_each_agent_follows_its_own_ratio(stream):
    numbers = {"gamma": 0.97, "gae_lambda": 0.9}
    for name, estimator in CORRECTED.items():
        together = np.asarray(estimator(*stream[:5], **numbers))
        alone = [
            estimator(*stream[:4], stream.log_ratio[..., k : k + 1], **numbers)
            for k in range(stream.log_ratio.shape[-1])
        ]
        np.testing.assert_allclose(together, np.concatenate(alone, -1), err_msg=name, **CLOSE)


def test_huge_ratios_stay_finite():
    stream = make_stream((7, 3, 2), 0)
    for log_ratio in (np.full((7, 3, 2), 1e4), np.full((7, 3, 2), -1e4)):
        for estimator in CORRECTED.values():
            for trace_clip in (0.5, 1.0, 2.0):
                numbers = {"gamma": 0.99, "gae_lambda": 0.95, "trace_clip": trace_clip}
                assert np.isfinite(estimator(*stream[:4], log_ratio, **numbers)).all()


@given(seed=st.integers(0, 2**31))
def test_discounted_sum_is_its_sum(seed):
    rng = np.random.default_rng(seed)
    x, coefficient = rng.normal(size=(2, 7, 3, 2))
    got = np.asarray(jax.jit(traces.discounted_sum)(x, coefficient))
    for t in range(7):
        expected = sum(x[k] * np.prod(coefficient[t:k], axis=0) for k in range(t, 7))
        np.testing.assert_allclose(got[t], expected, **CLOSE)
