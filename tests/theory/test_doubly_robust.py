"""The doubly robust advantage on tabular games: exact if the model or the ratios are exact."""

from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import theory as oracle

from opspo.estimators.advantages import doubly_robust
from opspo.theory import estimates, games, sequence, tabular

STATES, AGENTS, ACTIONS, GAMMA = 4, 3, 2, 0.8
LAST = AGENTS - 1
"""The agent that is updated, after all others have moved"""


@lru_cache
def solved(seed):
    """A game, and the update of its team."""
    sizes = {"states": STATES, "agents": AGENTS, "actions": ACTIONS}
    game_key, old_key, step_key = jax.random.split(jax.random.PRNGKey(seed), 3)
    game = games.random_game(game_key, **sizes)
    logits = games.random_logits(old_key, **sizes)
    moved = logits + games.random_logits(step_key, **sizes, spread=0.7)
    old, new = jax.nn.softmax(logits), jax.nn.softmax(moved)
    return oracle.plain((game, sequence.solve(game, old, new, gamma=GAMMA), old))


def own_part(q, policy):
    """q less its mean over the last agent's own action, which changes fastest."""
    by_own = q.reshape(STATES, -1, ACTIONS)
    mean = np.einsum("sxa,sa->sx", by_own, policy)
    return (by_own - mean[..., None]).reshape(q.shape)


def own_advantage(table, team):
    """[S, A] a table [S, X] averaged over the others' actions, less its mean under the agent."""
    others = team.reshape(STATES, -1, ACTIONS).sum(-1)
    averaged = np.einsum("sx,sxa->sa", others, table.reshape(STATES, -1, ACTIONS))
    policy = team.reshape(STATES, -1, ACTIONS).sum(1)
    return averaged - (averaged * policy).sum(-1, keepdims=True)


def additive(rng, old):
    """q = Σ_j f_j(s) · z_j, z the unit vector less the probabilities: the model that is learned."""
    actions = games.joint_actions(AGENTS, ACTIONS)
    slope = rng.normal(size=(AGENTS, STATES, ACTIONS))
    parts = [
        np.stack([slope[j, :, a] - (slope[j] * old[j]).sum(-1) for a in range(ACTIONS)], axis=-1)
        for j in range(AGENTS)
    ]
    each = [parts[j][:, actions[:, j]] for j in range(AGENTS)]
    return sum(each), each[LAST]


def estimate(game, update, value, q, own, **numbers):
    joints = update.joint[0], update.joint[LAST]
    found = estimates.doubly_robust(game, *joints, value, q, own, gamma=GAMMA, **numbers)
    return np.asarray(found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("gae_lambda", "trace_clip"), [(0.0, 1.0), (0.7, 1.0), (0.95, 3.0)])
def test_exact_if_the_model_is(seed, gae_lambda, trace_clip):
    """Whatever V is, and however the traces are cut: A is the agent's own part of Q."""
    game, update, old = solved(seed)
    truth = tabular.state_value(game, update.joint[LAST], gamma=GAMMA)
    q_true = game.reward + GAMMA * game.transition @ np.asarray(truth)
    value = np.random.default_rng(seed).normal(size=STATES)
    q = q_true - value[:, None]
    own = own_part(q, old[LAST])
    found = estimate(game, update, value, q, own, gae_lambda=gae_lambda, trace_clip=trace_clip)
    np.testing.assert_allclose(found, own, atol=1e-10)
    # which is the exact advantage of the agent's own actions
    team = np.asarray(update.joint[LAST])
    expected = own_advantage(update.advantage[LAST], team)
    np.testing.assert_allclose(own_advantage(found, team), expected, atol=1e-10)
    assert abs(expected - own_advantage(update.advantage[0], team)).max() > 1e-2


@pytest.mark.parametrize("seed", range(3))
def test_exact_if_the_ratios_are(seed):
    """λ = 1 and nothing clipped, with any V and any q."""
    game, update, old = solved(seed)
    rng = np.random.default_rng(seed)
    value, q = rng.normal(size=STATES), rng.normal(size=update.joint[0].shape)
    own = own_part(q, old[LAST])
    found = estimate(game, update, value, q, own, gae_lambda=1.0, trace_clip=np.inf)
    truth = tabular.state_value(game, update.joint[LAST], gamma=GAMMA)
    q_true = game.reward + GAMMA * game.transition @ np.asarray(truth)
    baseline = value[:, None] + q - own  # of the state and the others' actions
    np.testing.assert_allclose(found, q_true - baseline, atol=1e-10)
    team = np.asarray(update.joint[LAST])
    expected = own_advantage(update.advantage[LAST], team)
    np.testing.assert_allclose(own_advantage(found, team), expected, atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_not_exact_if_neither_is(seed):
    game, update, old = solved(seed)
    rng = np.random.default_rng(seed)
    q, own = additive(rng, old)
    value = np.asarray(tabular.state_value(game, update.joint[0], gamma=GAMMA))
    found = estimate(game, update, value, q, own, gae_lambda=0.9)
    team = np.asarray(update.joint[LAST])
    expected = own_advantage(update.advantage[LAST], team)
    assert abs(own_advantage(found, team) - expected).max() > 1e-2


@pytest.mark.parametrize("seed", range(3))
def test_without_a_model_it_is_the_trace(seed):
    game, update, _ = solved(seed)
    value = np.asarray(tabular.state_value(game, update.joint[0], gamma=GAMMA))
    nothing = np.zeros_like(update.joint[0])
    found = estimate(game, update, value, nothing, nothing, gae_lambda=0.9)
    expected = estimates.traces(game, update, gamma=GAMMA, gae_lambda=0.9)[LAST]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_the_others_part_of_an_additive_model_adds_nothing_to_the_gradient():
    """Its own part alone, whoever has moved: the mean of A over the others' actions of π."""
    _, update, old = solved(0)
    q, own = additive(np.random.default_rng(0), old)
    for team in map(np.asarray, (update.joint[0], update.joint[LAST])):
        np.testing.assert_allclose(own_advantage(q, team), own_advantage(own, team), atol=1e-10)


def test_the_algorithms_own_has_this_mean():
    """`advantages.doubly_robust` on many paths of a game."""
    game, update, old = solved(1)
    rng = np.random.default_rng(1)
    q, own = additive(rng, old)
    value, steps, paths = rng.normal(size=STATES), 60, 40_000
    behaviour, current = np.asarray(update.joint[0]), np.asarray(update.joint[LAST])
    state = np.zeros((steps + 1, paths), int)
    action = np.zeros((steps, paths), int)
    state[0], action[0] = 1, 3
    for t in range(steps):
        if t:
            edges = behaviour.cumsum(-1)[state[t]]
            action[t] = np.minimum((rng.random(paths)[:, None] > edges).sum(-1), 7)
        edges = np.asarray(game.transition).cumsum(-1)[state[t], action[t]]
        state[t + 1] = np.minimum((rng.random(paths)[:, None] > edges).sum(-1), STATES - 1)
    here, following = state[:-1], state[1:]
    columns = {
        "reward": np.asarray(game.reward)[here, action],
        "value": value[here],
        "next_value": value[following],
        "log_ratio": np.log(current / behaviour)[here, action],
        "action_value": q[here, action],
        "own_action_value": own[here, action],
        "value_shift": (current * q).sum(-1)[here],
    }
    got = doubly_robust(
        **{name: jnp.asarray(x)[..., None] for name, x in columns.items()},
        done=jnp.zeros((steps, paths, 1), bool),
        gamma=GAMMA,
        gae_lambda=0.9,
    )[0, :, 0]
    expected = estimate(game, update, value, q, own, gae_lambda=0.9)[1, 3]
    error = np.asarray(got).std() / paths**0.5
    assert abs(float(got.mean()) - expected) < 4 * error
    # so precise that the terms can be told apart
    plain = estimate(game, update, value, 0 * q, 0 * q, gae_lambda=0.9)[1, 3]
    assert abs(plain - expected) > 20 * error
