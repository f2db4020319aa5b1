"""The conformance table: what every algorithm must do, with parameters shared or separate.

Each case trains for seconds on a probe whose optimum is known; the thresholds leave about half of
the distance that was measured over three seeds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import collect, learn, learner_of, run, small_config

from opspo.config import ALGORITHM_CONFIGS
from opspo.environments import PROBES, make_env
from opspo.evaluate import make_evaluator

ALGORITHMS = sorted(ALGORITHM_CONFIGS)
SHARING = pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
ALGORITHM = pytest.mark.parametrize("algo", ALGORITHMS)

ITERATIONS = {"continuous": 60, "truncation": 60}
TOLERANCE = {"continuous": 0.1}


def greedy_return(config, state):
    learner, _ = learner_of(config)
    evaluator = make_evaluator(learner.environment, learner.team, episodes=64, greedy=True)
    return np.mean(evaluator(state.actor, 5).returns)


@pytest.mark.slow
@pytest.mark.parametrize("probe", PROBES)
@SHARING
@ALGORITHM
def test_learns_each_probe_to_its_known_optimum(algo, shared, probe):
    config = small_config(f"probe/{probe}", algo, shared=shared, recurrent=probe == "memory")
    state, _ = run(config, ITERATIONS.get(probe, 40))
    optimum = make_env(f"probe/{probe}").optimal_return
    assert greedy_return(config, state) == pytest.approx(optimum, abs=TOLERANCE.get(probe, 0.02))


@pytest.mark.slow
def test_memory_is_out_of_reach_without_memory():
    config = small_config("probe/memory", recurrent=False)
    state, _ = run(config, 40)
    assert greedy_return(config, state) < 0.7


@pytest.mark.slow
@pytest.mark.parametrize(("probe", "value"), [("termination", 1 + 0.99 + 0.99**2 * 2.5)])
@ALGORITHM
def test_critic_finds_the_value_of_the_start(algo, probe, value):
    """Not past a termination: the critic's value at the start is the discounted optimum."""
    config = small_config(f"probe/{probe}", algo, entropy_coefficient=0.0)
    state, _ = run(config, 60)
    assert value_at_start(config, state) == pytest.approx(value, rel=0.1)


@pytest.mark.slow
def test_critic_bootstraps_at_a_truncation():
    """With γ = 0.9 staying is worth 1 / (1 - γ) = 10, though an episode pays 3."""
    config = small_config("probe/truncation", gamma=0.9, entropy_coefficient=0.0)
    state, _ = run(config, 100)
    assert value_at_start(config, state) == pytest.approx(10.0, rel=0.15)


def value_at_start(config, state):
    from opspo.estimators.normalise import mean_and_deviation

    learner, _ = learner_of(config)
    _, seen = learner.environment.reset(jax.random.PRNGKey(0))
    raw, _ = learner.critic.unroll(
        state.critic, seen.state[None, None], jnp.zeros((1, 0)), jnp.ones((1, 1), bool)
    )
    mean, deviation = mean_and_deviation(state.value_statistics)
    return float(raw[0, 0] * deviation + mean)


@SHARING
@ALGORITHM
def test_does_not_recompile_and_is_deterministic(algo, shared):
    config = small_config("probe/credit", algo, shared=shared)
    learner, _ = learner_of(config)
    iterate = jax.jit(learner.iterate)
    init = jax.jit(learner.init, static_argnums=0)

    def three():
        state = init(3)
        for _ in range(3):
            state, metrics = iterate(state)
        return state, metrics

    first, second = three(), three()
    assert iterate._cache_size() == 1
    jax.tree.map(np.testing.assert_array_equal, first, second)


def test_seeds_give_different_runs():
    runs = []
    for seed in (0, 1):
        state, _ = run(small_config("probe/credit", seed=seed), 2)
        runs.append(np.concatenate([x.ravel() for x in jax.tree.leaves(state.actor)]))
    assert not np.allclose(*runs)


@SHARING
@ALGORITHM
def test_ignores_what_dead_agents_see_and_do(algo, shared):
    """Scrambled observations, actions and log-probabilities of the dead change nothing."""
    config = small_config("probe/death", algo, shared=shared)
    learner, _ = learner_of(config)
    state = jax.jit(learner.init, static_argnums=0)(0)
    trajectory = collect(learner, state)
    dead = ~trajectory.alive
    assert dead.any()
    scrambled = trajectory.replace(
        observation=jnp.where(dead[..., None], 7.0, trajectory.observation),
        action=jnp.where(dead, 1 - trajectory.action, trajectory.action),
        log_prob=jnp.where(dead[..., None], -3.0, trajectory.log_prob),
        available_actions=trajectory.available_actions | dead[..., None],
    )

    def networks(batch):
        learned = learn(learner, state, batch)
        return learned.actor, learned.critic

    after = jax.jit(networks)
    plain, changed = after(trajectory), after(scrambled)
    jax.tree.map(np.testing.assert_array_equal, plain, changed)
    living = trajectory.replace(action=jnp.where(dead, trajectory.action, 1 - trajectory.action))
    actor, other = jax.tree.leaves(plain)[0], jax.tree.leaves(after(living))[0]
    assert not np.array_equal(actor, other), "the comparison must be able to fail"


@pytest.mark.slow
@pytest.mark.parametrize("minibatches", [1, 4])
@pytest.mark.parametrize("recurrent", [False, True])
def test_minibatches_and_memory_go_together(minibatches, recurrent):
    config = small_config("probe/credit", recurrent=recurrent, minibatches=minibatches)
    state, history = run(config, 25)
    assert greedy_return(config, state) == pytest.approx(1.0, abs=0.02)
    assert set(history[-1]["positions"]) >= {"kl", "others_log_ratio_abs", "state_weight_ess"}


@SHARING
def test_first_position_is_on_policy_and_later_ones_are_not(shared):
    """The diagnostics show the off-policyness that the method is about."""
    config = small_config("probe/credit", shared=shared, epochs=1 if shared else 5)
    _, history = run(config, 3)
    drift = np.array([m["positions"]["others_log_ratio_abs"] for m in history])
    size = np.array([m["positions"]["others_ratio_ess"] for m in history])
    assert drift.shape == (3, 2)
    assert (drift[:, 0] == 0).all() and (drift[:, 1] > 0).all()
    np.testing.assert_allclose(size[:, 0], 1.0, rtol=1e-6)
    assert (size[:, 1] < 1).all()
    assert (np.array([m["positions"]["kl"] for m in history]) > 0).all()
