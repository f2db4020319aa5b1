"""Measured directions against the exact ones of a small game."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_game import GAMMA, SmallGame, advantage, exact, joint, log_policies, visits

import opspo
from opspo.errors import ConfigError
from opspo.fidelity.candidates import BASELINE, Candidate, candidates
from opspo.fidelity.directions import Mean, cosine
from opspo.fidelity.drift import check_step_size, drifted, planned, stages_of
from opspo.fidelity.extent import Extent
from opspo.fidelity.heads import fitted_heads, with_head
from opspo.fidelity.measurement import ON_POLICY, measure_state
from opspo.fidelity.playing import playing
from opspo.fidelity.reference import RETURNS, afresh, learner_of, reference, valued
from opspo.fidelity.stage_gradient import correct, first_gradient, moved_at, shuffled
from opspo.fidelity.state_moments import moments, unit_of
from opspo.training.assembly import make_learner

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def moved():
    """A learner, its state, and the second agent's stage after large steps of the first."""
    config = opspo.default_config("probe/credit", "happo")
    config = replace(
        config,
        env="own/small",
        rollout=replace(config.rollout, num_envs=64, num_steps=64),
        policy=replace(config.policy, share_parameters=False, hidden_sizes=(8,), output_gain=1.0),
        optimiser=replace(config.optimiser, actor_learning_rate=0.02),
        algorithm=replace(
            config.algorithm, gamma=GAMMA, gae_lambda=0.5, epochs=5, order="cyclic", minibatches=1
        ),
    )
    learner = make_learner(config, SmallGame())
    state = jax.jit(learner.init, static_argnums=0)(0)
    with playing(learner, num_steps=64, seed=1) as play:
        plan = planned(learner, state, play)
        stage = drifted(learner, state, plan, play, number=1, updates=3)
    return learner, state, stage


def declared(learner, **changes):
    return replace(candidates(learner.config)[BASELINE].declaration, gae_lambda=1.0, **changes)


def test_only_the_agents_before_the_stage_have_moved(moved):
    learner, state, stage = moved
    old, new = (log_policies(learner.team, p) for p in (state.actor, stage.learners.actor))
    change = np.abs(np.asarray(new - old)).max((1, 2))
    assert change[1] == 0 and 0.3 < change[0] < 3
    assert stage.agents.tolist() == [1] and stage.rank.tolist() == [0, 1]


def test_the_reference_is_the_exact_policy_gradient(moved):
    learner, state, stage = moved

    def gae(gae_lambda):
        return learner_of(learner, Candidate(replace(declared(learner), gae_lambda=gae_lambda)))

    with playing(learner, num_steps=64, seed=2) as play:
        unit = unit_of(play(state.actor).state)
        found = reference(
            learner,
            state,
            stage,
            play,
            gae,
            unit=unit,
            enough=0.999,
            most_steps=600_000,
            told=lambda found: None,
        )
    policy = joint(log_policies(learner.team, stage.learners.actor))
    weight = visits(policy)[:, None, None] * policy * advantage(policy)
    truth = exact(learner.team, stage.learners.actor, 1, weight)
    returns = found.targets[RETURNS]
    assert returns.precision > 0.97
    assert cosine(returns.value, truth) > 0.97
    assert np.linalg.norm(returns.value) == pytest.approx(np.linalg.norm(truth), rel=0.1)
    # moments of a one-hot state are its visits
    expected = (visits(policy) - unit.mean) / unit.deviation
    np.testing.assert_allclose(found.moments.value[:4], expected, atol=0.02)


CASES = {
    "GAE(1)": ({}, np.ones_like),
    "GAE(1), w = r": ({"clip_range": "ratio"}, lambda r: r),
}


@pytest.mark.parametrize("name", CASES)
def test_estimators_from_old_data_are_exact_in_the_mean(moved, name):
    learner, state, stage = moved
    changes, weigh = CASES[name]
    update = learner_of(learner, Candidate(declared(learner, **changes))).update
    # advantages raw, as the formula has them
    update = replace(update, normalise_advantage=False)

    @jax.jit
    def direction(state, trajectory):
        state, batch = valued(learner, state, trajectory)
        ratios = moved_at(update, stage, batch)
        correction = correct(update, stage, batch, ratios, state.actor, state.key)
        # the last steps' returns are the critic's
        early = (jnp.arange(64) < 44)[:, None, None]
        kept = batch.replace(trajectory=trajectory.replace(alive=trajectory.alive & early))
        return state, first_gradient(update, stage, kept, correction)[0]

    found, now = Mean(), afresh(learner, state)
    with playing(learner, num_steps=64, seed=3) as play:
        for _ in range(150):
            now, vector = direction(now, play(state.actor))
            found.add(vector)
    old, new = (joint(log_policies(learner.team, p)) for p in (state.actor, stage.learners.actor))
    weight = visits(old)[:, None, None] * old * advantage(old) * weigh(new / old)
    truth = exact(learner.team, state.actor, 1, weight)
    assert found.precision > 0.97
    assert cosine(found.value, truth) > 0.97
    assert np.linalg.norm(found.value) == pytest.approx(np.linalg.norm(truth), rel=0.1)


def test_shuffled_ratios_are_the_same_ratios_elsewhere(moved):
    learner, state, stage = moved
    with playing(learner, num_steps=64, seed=4) as play:
        _, batch = valued(learner, state, play(state.actor))
    ratios = moved_at(learner.update, stage, batch)
    dealt = shuffled(ratios, jax.random.PRNGKey(0))
    np.testing.assert_allclose(ratios.log_ratio[..., 1], 0, atol=1e-5)
    for before, after in zip(jax.tree.leaves(ratios), jax.tree.leaves(dealt), strict=True):
        np.testing.assert_array_equal(np.sort(before, axis=None), np.sort(after, axis=None))
        assert (np.asarray(before) != np.asarray(after))[..., 0].mean() > 0.5
    np.testing.assert_array_equal(dealt.log_ratio, dealt.density_log_ratio)


def test_weighted_moments_are_weighted_means():
    rng = np.random.default_rng(0)
    state = jnp.asarray(rng.normal(size=(5, 3, 1, 2)))
    weight = jnp.asarray(rng.uniform(size=(5, 3)))
    unit = unit_of(state)
    z = (np.asarray(state)[:, :, 0] - np.asarray(unit.mean)) / np.asarray(unit.deviation)
    share = np.asarray(weight / weight.sum())[..., None]
    expected = np.concatenate([(share * z).sum((0, 1)), (share * z**2).sum((0, 1))])
    np.testing.assert_allclose(moments(state, unit, weight), expected, rtol=1e-5)
    np.testing.assert_allclose(moments(state, unit)[:2], 0, atol=1e-6)


def test_everything_is_measured_at_each_stage(moved):
    learner, state, _ = moved
    chosen = {name: each for name, each in candidates(learner.config).items() if "λ" not in name}
    told = []
    (case,) = measure_state(
        learner,
        state,
        chosen,
        Extent(updates=(2,), batches=24, own_batches=24, most_steps=200_000, agreement=0.99),
        seed=0,
        told=lambda what, share: told.append(what),
    )
    assert (case["stage"], case["agents"], case["updates"]) == (1, [1], 2)
    assert case["log_ratio_abs"] > 0.1 and 0.1 < case["effective_sample_share"] < 0.99
    assert set(told) == {
        "reference of stage 1",
        "action values",
        "batches",
        "batches of the moved policies",
    }
    found = case["candidates"]
    assert set(found) == {*chosen, ON_POLICY}
    for each in found.values():
        for kind in ("first", "epoch"):
            assert set(each[kind]) == {RETURNS, "λ = 0.98", "λ = 0.5", "noise"}
            assert len(each[kind][RETURNS]["cosines"]) == 24
    # on-policy batches have no bias; old ones without weights have
    right, wrong = (found[name]["first"]["λ = 0.5"] for name in (ON_POLICY, BASELINE))
    assert right["direction"] > 0.9 > wrong["direction"]
    # what the critic or its head has learned makes a difference
    plain = found[BASELINE]["first"][RETURNS]["cosines"]
    for name in ("GAE, critic first", "doubly robust"):
        gaps = np.abs(np.subtract(found[name]["first"][RETURNS]["cosines"], plain))
        assert gaps.mean() > 1e-3, name
    # states: weighted step-wise, old data are like new; shuffled weights are not
    assert abs(found["AEC, SDC"]["states"]) < 0.5 * found["AEC"]["states"]
    assert abs(found[ON_POLICY]["states"]) < 0.1 * found["AEC"]["states"]


@pytest.mark.parametrize(
    ("extent", "told"),
    [
        ({"batches": 3}, "batches must be at least 4, but is 3"),
        ({"updates": (0,)}, "updates must be at least 1"),
        ({"stages": (0,)}, "before stage 0 nobody has moved"),
        ({"stages": (2,)}, "stages must be at most 1"),
    ],
)
def test_an_extent_that_does_not_fit_is_told(moved, extent, told):
    learner, state, _ = moved
    with pytest.raises(ConfigError, match=told):
        measure_state(
            learner,
            state,
            candidates(learner.config),
            Extent(**extent),
            seed=0,
            told=lambda what, share: None,
        )


def test_an_algorithm_that_moves_all_at_once_is_refused():
    config = opspo.default_config("probe/credit", "mappo")
    learner = make_learner(config, opspo.make_env("probe/credit"))
    with pytest.raises(ConfigError, match="needs a sequential algorithm, but mappo"):
        stages_of(learner)


def test_a_checkpoint_whose_step_size_is_0_is_refused(moved):
    learner, state, _ = moved
    config = replace(learner.config, optimiser=replace(learner.config.optimiser, anneal=True))
    annealed = replace(learner, config=config)
    check_step_size(annealed, state)
    with pytest.raises(ConfigError, match="no agent would move"):
        check_step_size(annealed, state.replace(iteration=jnp.asarray(config.iterations)))


def test_candidates_are_not_what_the_run_was(moved):
    learner, *_ = moved
    algorithm = replace(learner.config.algorithm, values="ahead", reuse=2)
    config = replace(learner.config, algorithm=algorithm)
    plain = candidates(config)[BASELINE].declaration
    assert (plain.values, plain.reuse, plain.critic_epochs) == ("collected", 0, 0)


def test_a_head_is_trained_before_it_is_used(moved):
    """On this game, rewards depend on the actions: the head explains TD errors it has not seen."""
    learner, state, _ = moved
    robust = learner_of(learner, candidates(learner.config)["doubly robust"])
    with playing(learner, num_steps=64, seed=5) as play:
        (head,) = fitted_heads(learner, state, {"it": robust}, play, lambda share: None).values()
        _, batch = valued(learner, afresh(learner, state), play(state.actor))
    seen = with_head(robust, batch, head, state.actor, state)
    _, told = robust.action_head.fit(head, seen, state.value_statistics)
    assert told["action_values_explained"] > 0.02
