"""What a stage measures of its agents' moves, and that padded actions do not count in it."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small import alike, collect, learner_of, small_config

from opspo.environments.base import EnvironmentSpec, Observation, Step
from opspo.evaluate import make_evaluator
from opspo.training.assembly import make_learner
from opspo.types import Moved
from opspo.update.moved import measure


@pytest.mark.parametrize(
    ("name", "expected"), [("mean", np.log(np.mean(np.exp([0.1, -0.3])))), ("product", -0.2)]
)
def test_the_objective_takes_the_ratio_of_the_setting_and_densities_the_product(name, expected):
    """Two-dimensional actions, moved by known log-ratios: see `Moved`."""
    config = small_config("probe/continuous", shared=False, action_ratio=name)
    learner, _ = learner_of(config)
    state = jax.jit(learner.init, static_argnums=0)(0)
    trajectory = jax.jit(lambda s: collect(learner, s))(state)
    # the one dimension twice, with log-probabilities at collection off by 0.1 and −0.3
    change = jnp.array([0.1, -0.3])
    doubled = trajectory.replace(
        log_prob=trajectory.log_prob - change, action=jnp.repeat(trajectory.action, 2, axis=-1)
    )

    class Twice:
        """The team's distribution, for either dimension."""

        def log_prob(self, output, action, available):
            one = learner.team.distribution.log_prob(output, action[..., :1], available)
            return jnp.repeat(one, 2, axis=-1)

    update = learner.update
    team = type(learner.team)(**{**vars(learner.team), "distribution": Twice()})
    networks = dataclasses.replace(update.networks, team=team)
    nothing = jnp.zeros(trajectory.alive.shape)
    moved = measure(
        networks,
        update.algorithm.action_ratio,
        state.actor,
        doubled,
        Moved(nothing, nothing),
        jnp.array([1]),
    )
    np.testing.assert_allclose(moved.log_ratio[..., 0], 0)
    np.testing.assert_allclose(moved.log_ratio[..., 1], expected, atol=1e-5)
    np.testing.assert_allclose(moved.density_log_ratio[..., 1], -0.2, atol=1e-5)


class Uneven:
    """Agent 0 has one dimension of the action, agent 1 three; both see which they are.

    Continuous: each own dimension should be 0.5. Decisions: each should be choice 1, of two for
    agent 0 and three for agent 1.
    """

    OWN = np.array([[True, False, False], [True, True, True]])

    def __init__(self, *, discrete):
        self.discrete = discrete
        self.spec = EnvironmentSpec(
            "uneven",
            num_agents=2,
            observation_size=4,
            state_size=4,
            num_actions=3 if discrete else 0,
            action_size=3,
            action_sizes=(1, 3),
            episode_limit=1,
        )

    def reset(self, key):
        return {}, self.observe()

    def step(self, key, state, action):
        goal = (action == 1) * 1.0 if self.discrete else 1 - (action - 0.5) ** 2
        reward = jnp.where(self.OWN, goal, 0).sum() / self.OWN.sum()
        return state, Step(
            self.observe(), reward, jnp.array(True), jnp.array(False), jnp.array(False)
        )

    def observe(self):
        available = jnp.zeros((2, 3, 3), bool).at[..., 0].set(True)
        available = available.at[0, 0, 1].set(True).at[1].set(True)
        return Observation(
            observation=jnp.eye(2, 4),
            state=jnp.ones(4),
            available_actions=available if self.discrete else None,
            alive=jnp.ones(2, bool),
        )


@cache
def begun(config, discrete):
    """A state and a batch of experience."""
    learner = make_learner(config, Uneven(discrete=discrete))
    state = jax.jit(learner.init)(0)
    return state, jax.jit(lambda s: collect(learner, s))(state)


KINDS = pytest.mark.parametrize("discrete", [False, True], ids=["continuous", "decisions"])
SHARING = pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])


@pytest.mark.parametrize(
    ("algo", "ratio", "shared", "discrete"),
    [
        ("coppo", "product", True, False),
        ("happo", "mean", True, True),
        ("opspo", "product", True, True),
        ("opspo", "mean", True, False),
        ("opspo", "product", False, False),
        ("a2po", "mean", False, True),
    ],
)
def test_what_surplus_dimensions_hold_changes_nothing(algo, ratio, shared, discrete):
    """Whole updates, with other actions and log-probabilities in the padding."""
    config = small_config("own", algo, shared=shared, action_ratio=ratio)
    learner = make_learner(config, Uneven(discrete=discrete))
    state, trajectory = begun(alike(config), discrete)
    own = Uneven.OWN
    noise = jnp.cos(jnp.arange(trajectory.log_prob.size) ** 2).reshape(trajectory.log_prob.shape)
    scrambled = trajectory.replace(
        log_prob=jnp.where(own, trajectory.log_prob, noise),
        action=jnp.where(own, trajectory.action, (3 * noise).astype(trajectory.action.dtype)),
    )

    @jax.jit
    def update(trajectory):
        return learner.learn(state, trajectory, jax.random.PRNGKey(2))

    plain, other = update(trajectory), update(scrambled)
    assert any(
        (a != b).any() for a, b in zip(*map(jax.tree.leaves, (state, plain[0])), strict=True)
    )
    jax.tree.map(np.testing.assert_array_equal, plain, other)


@KINDS
@SHARING
def test_the_density_ratio_leaves_surplus_dimensions_out(discrete, shared):
    """Moved by hand: each own dimension's log-ratio is known, the padding's is not looked at."""
    config = small_config("own", shared=shared)
    learner = make_learner(config, Uneven(discrete=discrete))
    state, trajectory = begun(alike(config), discrete)
    change = jnp.where(Uneven.OWN, 0.1, 40.0)
    moved = measure(
        learner.update.networks,
        learner.algorithm.action_ratio,
        state.actor,
        trajectory.replace(log_prob=trajectory.log_prob - change),
        Moved(*[jnp.zeros(trajectory.alive.shape)] * 2),
        jnp.arange(2),
    )
    np.testing.assert_allclose(moved.density_log_ratio[..., 0], 0.1, atol=1e-5)
    np.testing.assert_allclose(moved.density_log_ratio[..., 1], 0.3, atol=1e-5)
    np.testing.assert_allclose(moved.log_ratio, moved.density_log_ratio)


@KINDS
@SHARING
def test_the_entropy_is_of_own_dimensions(discrete, shared):
    """log 2 of agent 0's decision and 3 log 3 of agent 1's; else h of each of four numbers."""
    config = small_config("own", "mappo", shared=shared, epochs=1)
    learner = make_learner(config, Uneven(discrete=discrete))
    learned = jax.jit(learner.learn)(*begun(alike(config), discrete), jax.random.PRNGKey(2))
    losses = learned[1]
    one = 0.5 * np.log(2 * np.pi * np.e) - 0.5
    total = np.log(2) + 3 * np.log(3) if discrete else 4 * one
    np.testing.assert_allclose(losses["entropy"], total / 2, rtol=1e-3)


@pytest.mark.slow
@KINDS
@SHARING
def test_uneven_actions_are_learned(discrete, shared):
    config = small_config("own", "opspo", shared=shared, entropy_coefficient=0.0)
    learner = make_learner(config, Uneven(discrete=discrete))
    state, iterate = jax.jit(learner.init)(0), jax.jit(learner.iterate)
    for _ in range(30):
        state, metrics = iterate(state)
    assert not any(metrics["faults"].values())
    evaluator = make_evaluator(learner.environment, learner.team, episodes=4, greedy=True)
    assert np.mean(evaluator(state.actor, 0).returns) > 0.97
