"""Whole updates that must coincide, or equal a plain implementation written out here."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from small import collect, learn, learner_of, small_config

OFF = {
    "advantage": "gae",
    "state_weight": "none",
    "clip_range": "ppo",
}


@pytest.fixture(autouse=True)
def x64():
    """64 bits: two ways of adding up differ by rounding only."""
    with jax.enable_x64(True):
        learner_of.cache_clear()
        yield
        learner_of.cache_clear()


def batch_of(config):
    learner, _ = learner_of(config)
    state = learner.init(0)
    return learner, state, collect(learner, state)


def update(learner, state, trajectory):
    return jax.jit(lambda t: learn(learner, state, t))(trajectory)


def assert_close(left, right):
    """Equal but for rounding: parameters are 32-bit also where the arithmetic is not."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), left, right)


def plain_ppo(learner, state, trajectory, config, agents):
    """PPO written out: one Adam chain for each network, `epochs` full-batch steps.

    `agents` contribute to one actor loss; parameters are shared.
    """
    batch, _, _ = learner._evaluate(state, trajectory)
    algorithm = config.algorithm
    advantage = np.asarray(learner._gae(batch))[..., 0]
    rows = np.repeat(advantage[..., None], len(agents), axis=-1)
    rows = (rows - rows.mean()) / (rows.std() + 1e-5)
    unit = (batch.value_mean, batch.value_deviation)
    target = (advantage + batch.value[..., 0] - unit[0]) / unit[1]
    old = batch.raw_value[..., 0]
    optimiser = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(3e-3, eps=1e-5))

    def actor_loss(params):
        x = trajectory.observation.reshape(1, -1, trajectory.observation.shape[-1])
        logits, _ = learner.team.network.apply(
            params, x, jnp.zeros((x.shape[1], 0)), jnp.zeros(x.shape[:2], bool)
        )
        logits = logits.reshape(*trajectory.action.shape, -1)
        log_probs = jax.nn.log_softmax(logits)
        taken = jnp.take_along_axis(log_probs, trajectory.action[..., None], -1)[..., 0]
        ratio = jnp.exp(taken - trajectory.log_prob[..., 0])[..., agents]
        clipped = jnp.clip(ratio, 1 - algorithm.clip, 1 + algorithm.clip)
        entropy = -(jnp.exp(log_probs) * log_probs).sum(-1)[..., agents]
        gain = jnp.minimum(ratio * rows, clipped * rows).mean()
        return -gain - algorithm.entropy_coefficient * entropy.mean()

    def critic_loss(params):
        x = trajectory.state.reshape(1, -1, trajectory.state.shape[-1])
        value, _ = learner.critic.network.apply(
            params, x, jnp.zeros((x.shape[1], 0)), jnp.zeros(x.shape[:2], bool)
        )
        value = value.reshape(old.shape)
        near = old + jnp.clip(value - old, -0.2, 0.2)
        losses = [optax.huber_loss(v, target, delta=10.0) for v in (value, near)]
        return jnp.maximum(*losses).mean()

    networks = []
    for start, loss in ((state.actor, actor_loss), (state.critic, critic_loss)):
        params, memory = start, optimiser.init(start)
        gradient = jax.jit(jax.grad(loss))
        for _ in range(algorithm.epochs):
            change, memory = optimiser.update(gradient(params), memory, params)
            params = optax.apply_updates(params, change)
        networks.append(params)
    return networks


def test_mappo_is_ppo_written_out():
    config = small_config("probe/credit", "mappo")
    learner, state, batch = batch_of(config)
    learned = update(learner, state, batch)
    actor, critic = plain_ppo(learner, state, batch, config, agents=[0, 1])
    assert_close(learned.actor, actor)
    assert_close(learned.critic, critic)


def test_opspo_without_corrections_in_one_block_is_mappo():
    """One block of all agents, every epoch anew: the schedule alone changes nothing."""
    config = small_config("probe/credit", "opspo", blocks=1, **OFF)
    learner, state, batch = batch_of(config)
    one = update(learner, state, batch)
    config = small_config("probe/credit", "mappo")
    learner, state, batch = batch_of(config)
    assert_close(one, update(learner, state, batch))


def test_opspo_without_corrections_is_sequential_ppo():
    """Separate parameters: each agent's actor is where PPO on its data alone takes it."""
    config = small_config("probe/credit", "opspo", shared=False, order="cyclic", **OFF)
    learner, state, batch = batch_of(config)
    sequential = update(learner, state, batch)
    config = small_config("probe/credit", "mappo", shared=False)
    learner, state, batch = batch_of(config)
    simultaneous = update(learner, state, batch)
    assert_close(sequential.actor, simultaneous.actor)
    steps = jax.tree.leaves(sequential.critic_optimiser)[0]
    assert int(steps) == 2 * config.algorithm.epochs  # the critic learns with every agent


def test_corrections_change_the_second_agent_and_not_the_first():
    """Agent 0 is on-policy: r̃ = ω = 1, the range is 1 ± ε1 and the trace is GAE."""
    settings = {"shared": False, "order": "cyclic"}
    plain = small_config("probe/credit", "opspo", **settings, **OFF)
    full = small_config("probe/credit", "opspo", **settings)
    actors = []
    for config in (plain, full):
        learner, state, batch = batch_of(config)
        actors.append(update(learner, state, batch).actor)
    first, second = (
        [np.concatenate([x[i].ravel() for x in jax.tree.leaves(a)]) for a in actors] for i in (0, 1)
    )
    np.testing.assert_allclose(*first, rtol=1e-5, atol=1e-6)
    assert not np.allclose(*second, rtol=1e-3, atol=1e-4)


def test_two_minibatches_of_everything_are_two_half_steps():
    """Both halves of the chunks are used: the step count doubles and the result moves."""
    settings = {"epochs": 1, **OFF, "blocks": 1}
    whole = small_config("probe/credit", "opspo", **settings)
    halves = small_config("probe/credit", "opspo", minibatches=2, **settings)
    counts = []
    for config in (whole, halves):
        learner, state, batch = batch_of(config)
        counts.append(int(jax.tree.leaves(update(learner, state, batch).actor_optimiser)[0]))
    assert counts == [1, 2]
