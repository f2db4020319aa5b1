"""The probes' optima, by trying every joint plan."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from opspo.environments import make_env
from opspo.environments.probes import make_probe
from opspo.environments.tasks import PROBES

DISCRETE = [name for name in PROBES if name not in ("continuous", "regulator")]


def play_all(probe, key):
    """Return, discounted return and truncation of every sequence of joint actions."""
    agents = probe.spec.num_agents
    joint = list(itertools.product(range(probe.spec.num_actions), repeat=agents))
    length = probe.spec.episode_limit
    plans = jnp.array(list(itertools.product(joint, repeat=length)))

    def play(plan):
        state, observation = probe.reset(key)

        def step(carry, action):
            state, observation, total, discounted, going, discount = carry
            allowed = jnp.take_along_axis(
                observation.available_actions, action[:, None], axis=1
            ).all()
            state, out = probe.step(key, state, action)
            reward = jnp.where(going, jnp.where(allowed, out.reward, -jnp.inf), 0.0)
            done = out.terminated | out.truncated
            truncated_now = going & out.truncated
            after = (
                state,
                out.observation,
                total + reward,
                discounted + discount * reward,
                going & ~done,
                discount * jnp.where(going, 0.99, 1.0),
            )
            return after, truncated_now

        start = (state, observation, 0.0, 0.0, True, 1.0)
        (_, _, total, discounted, _, discount), cut = jax.lax.scan(step, start, plan)
        return total, discounted, cut.any(), discount

    return jax.jit(jax.vmap(play))(plans)


@pytest.mark.parametrize("name", [n for n in DISCRETE if n not in ("truncation", "masks")])
def test_no_plan_beats_the_optimum_and_one_reaches_it(name):
    probe = make_probe(name)
    for seed in range(3):
        total, *_ = play_all(probe, jax.random.PRNGKey(seed))
        np.testing.assert_allclose(total.max(), probe.optimal_return, rtol=1e-6)


def test_masks_optimum_under_available_actions_only():
    probe = make_probe("masks")
    state, observation = probe.reset(jax.random.PRNGKey(3))
    total = 0.0
    for _ in range(probe.spec.episode_limit):
        available = np.asarray(observation.available_actions)
        assert (available.sum(axis=1) == 2).all()
        best = np.array([max(a for a in range(4) if row[a]) for row in available])
        state, out = probe.step(jax.random.PRNGKey(0), state, jnp.array(best))
        observation, total = out.observation, total + float(out.reward)
    assert total == probe.optimal_return
    assert bool(out.terminated)


def test_masks_punish_an_unavailable_action():
    probe = make_probe("masks")
    state, observation = probe.reset(jax.random.PRNGKey(3))
    forbidden = jnp.argmin(observation.available_actions, axis=1)
    _, out = probe.step(jax.random.PRNGKey(0), state, forbidden)
    assert out.reward == -10


def test_truncation_staying_is_best_only_with_bootstrap():
    """With V = max over plans of discounted return + γ^T V at a cut, staying wins; without, not."""
    probe = make_probe("truncation")
    total, discounted, cut, discount = (
        np.asarray(x) for x in play_all(probe, jax.random.PRNGKey(0))
    )
    value = 0.0
    for _ in range(3000):
        value = (discounted + np.where(cut, discount * value, 0.0)).max()
    np.testing.assert_allclose(value, 1 / (1 - 0.99), rtol=1e-3)
    with_bootstrap = discounted + np.where(cut, discount * value, 0.0)
    assert total[with_bootstrap.argmax()] == probe.optimal_return == 3.0
    assert total[discounted.argmax()] == 4.5  # who takes the cut for the end, leaves


def test_continuous_optimum():
    probe = make_probe("continuous")
    state, observation = probe.reset(jax.random.PRNGKey(1))
    total = 0.0
    for _ in range(2):
        state, out = probe.step(jax.random.PRNGKey(0), state, observation.observation[:, :1])
        observation, total = out.observation, total + float(out.reward)
    assert total == pytest.approx(probe.optimal_return)
    assert bool(out.terminated)


@pytest.mark.parametrize("name", PROBES)
def test_observations_have_the_sizes_of_the_spec(name):
    probe = make_env(f"probe/{name}")
    spec = probe.spec
    _, seen = jax.eval_shape(probe.reset, jax.random.PRNGKey(0))
    assert seen.observation.shape == (spec.num_agents, spec.observation_size)
    assert seen.state.shape == (spec.state_size,)
    if spec.num_actions:
        assert seen.available_actions.shape == (spec.num_agents, spec.num_actions)
    else:
        assert seen.available_actions is None and spec.action_size == 1


def test_coordination_punishes_simultaneous_and_rewards_sequential_best_responses():
    """From a policy under which going is rare: both at once collide, one by one they do not."""
    probe = make_probe("coordination")
    state, _ = probe.reset(jax.random.PRNGKey(0))

    def payoff(first, second):
        return float(probe.step(jax.random.PRNGKey(0), state, jnp.array([first, second]))[1].reward)

    def value(p, q):
        """Of the team where the agents go with probabilities p and q."""
        chance = {1: (p, q), 0: (1 - p, 1 - q)}
        return sum(chance[a][0] * chance[b][1] * payoff(a, b) for a in (0, 1) for b in (0, 1))

    def best_response(other):
        return max((0.0, 1.0), key=lambda p: value(p, other))

    rare = 0.2
    at_once = value(best_response(rare), best_response(rare))
    first = best_response(rare)
    in_turn = value(first, best_response(first))
    assert at_once < value(rare, rare) < value(first, rare) < in_turn == probe.optimal_return


def test_overshoot_return_is_the_multilinear_form():
    """J by summing over all joint actions, and what a common step does to it."""
    probe = make_probe("overshoot")
    state, _ = probe.reset(jax.random.PRNGKey(0))
    joint = list(itertools.product((0, 1), repeat=4))
    pay = {
        a: float(probe.step(jax.random.PRNGKey(0), state, jnp.array(a))[1].reward) for a in joint
    }

    def expected(x):
        chance = [(0.5 - xi, 0.5 + xi) for xi in x]
        return sum(pay[a] * np.prod([chance[i][a[i]] for i in range(4)]) for a in joint)

    rng = np.random.default_rng(0)
    for _ in range(5):
        x = rng.uniform(-0.5, 0.5, 4)
        pairs = sum(x[i] * x[j] for i in range(4) for j in range(i))
        assert expected(x) == pytest.approx(x.sum() / 8 - 2 * pairs, abs=1e-6)
    alone, together = np.array([0.1, 0, 0, 0]), np.full(4, 0.1)
    assert expected(alone) == pytest.approx(0.0125, abs=1e-6)
    assert expected(together) == pytest.approx(-0.07, abs=1e-6)
    assert expected(np.full(4, 0.02)) > 0 > expected(np.full(4, 0.05))


def test_regulator_optimum_is_that_of_its_best_linear_feedback():
    """The return of u = −k_t x under the best gains, found by search, averaged over starts."""
    probe = make_probe("regulator")

    def played(gains, start):
        state = {"x": start, "t": jnp.array(0), "draw": jnp.zeros(3)}
        total = 0.0
        for t in range(10):
            action = jnp.full((3, 1), -gains[t] * state["x"])
            state, out = probe.step(jax.random.PRNGKey(0), state, action)
            total = total + out.reward
        return total

    def mean_return(gains):
        # quadratic in the start, so that E over U(−1, 1) is a third of the value at 1
        return played(gains, jnp.array(1.0)) / 3

    gains = jnp.full(10, 0.5)
    ascend = jax.jit(lambda g: g + 0.5 * jax.grad(mean_return)(g))
    for _ in range(300):
        gains = ascend(gains)
    best = float(mean_return(gains))
    assert best == pytest.approx(probe.optimal_return, rel=1e-3)
    assert best <= probe.optimal_return + 1e-6
    assert float(played(gains, jnp.array(0.5))) == pytest.approx(best * 3 / 4, rel=1e-4)
