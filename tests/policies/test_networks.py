"""Networks against NumPy loops over their own parameters, and how they begin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from opspo.policies.modules import GRU, ActorNetwork, CriticNetwork, Torso

pytestmark = pytest.mark.lenient_dtypes  # Flax makes parameters of 32 bits

STEPS, BATCH, WIDTH, SIZE = 5, 3, 4, 6
CLOSE = {"rtol": 1e-9, "atol": 1e-10}
GATES = ("reset", "update", "new")


def inputs(seed=0, memory_size=SIZE):
    rng = np.random.default_rng(seed)
    first = np.zeros((STEPS, BATCH), bool)
    first[0, 1] = first[2, 0] = first[4, 2] = True
    return rng.normal(size=(STEPS, BATCH, WIDTH)), rng.normal(size=(BATCH, memory_size)), first


def arbitrary(module, x, memory, first):
    """Parameters of 64 bits, none of them at a special value such as a bias of 0."""
    shapes = jax.eval_shape(module.init, jax.random.PRNGKey(0), x, memory, first)
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda p: 0.5 * rng.normal(size=p.shape), shapes)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_loop(p, x, memory, first):
    out = np.zeros((STEPS, BATCH, SIZE))
    h = memory.copy()
    for t in range(STEPS):
        for b in range(BATCH):
            if first[t, b]:
                h[b] = 0
            reset_in, update_in, new_in = (
                x[t, b] @ p[f"input_{g}"]["kernel"] + p[f"input_{g}"]["bias"] for g in GATES
            )
            reset = sigmoid(reset_in + h[b] @ p["recurrent_reset"])
            update = sigmoid(update_in + h[b] @ p["recurrent_update"])
            recurrent = h[b] @ p["recurrent_new"] + p["recurrent_new_bias"]
            new = np.tanh(new_in + reset * recurrent)
            h[b] = (1 - update) * new + update * h[b]
            out[t, b] = h[b]
    return out, h


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-6)


def torso_loop(p, function, x, memory, first):
    x = layer_norm(x)
    for layer in range(2):
        dense = p[f"Dense_{layer}"]
        x = layer_norm(function(x @ dense["kernel"] + dense["bias"]))
    if "GRU_0" in p:
        x, memory = gru_loop(p["GRU_0"], x, memory, first)
        x = layer_norm(x)
    return x, memory


def relu(x):
    return np.maximum(x, 0)


def test_gru_is_its_loop():
    x, memory, first = inputs()
    params = arbitrary(GRU(SIZE), x, memory, first)
    got = GRU(SIZE).apply(params, x, memory, first)
    expected = gru_loop(params["params"], x, memory, first)
    for mine, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, reference, **CLOSE)


@pytest.mark.parametrize(("activation", "function"), [("relu", relu), ("tanh", np.tanh)])
@pytest.mark.parametrize("recurrent", [False, True])
def test_torso_is_its_loop(activation, function, recurrent):
    torso = Torso((8, SIZE), activation, recurrent)
    x, memory, first = inputs(memory_size=SIZE if recurrent else 0)
    params = arbitrary(torso, x, memory, first)
    got = jax.jit(torso.apply)(params, x, memory, first)
    expected = torso_loop(params["params"], function, x, memory, first)
    for mine, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, reference, **CLOSE)


def test_layers_behind_the_memory_and_no_layer_norm():
    torso = Torso((SIZE,), "relu", recurrent=True, layer_norm=False, output_sizes=(3,))
    x, memory, first = inputs()
    params = arbitrary(torso, x, memory, first)
    before, behind = (params["params"][f"Dense_{i}"] for i in range(2))
    seen, last = gru_loop(
        params["params"]["GRU_0"], relu(x @ before["kernel"] + before["bias"]), memory, first
    )
    expected = relu(seen @ behind["kernel"] + behind["bias"])
    for mine, reference in zip(
        torso.apply(params, x, memory, first), (expected, last), strict=True
    ):
        np.testing.assert_allclose(mine, reference, **CLOSE)


def test_one_call_equals_step_after_step():
    """What is taken out of the scan does not leak between steps."""
    torso = Torso((8, SIZE), "tanh", recurrent=True)
    x, memory, first = inputs()
    params = arbitrary(torso, x, memory, first)
    whole, last = jax.jit(torso.apply)(params, x, memory, first)
    step = jax.jit(torso.apply)
    for t in range(STEPS):
        out, memory = step(params, x[t : t + 1], memory, first[t : t + 1])
        np.testing.assert_allclose(out[0], whole[t], **CLOSE)
    np.testing.assert_allclose(memory, last, **CLOSE)


def test_first_forgets_what_was_before():
    x, memory, first = inputs()
    params = arbitrary(GRU(SIZE), x, memory, first)
    whole, _ = GRU(SIZE).apply(params, x, memory, first)
    fresh, _ = GRU(SIZE).apply(params, x[2:], np.zeros_like(memory), first[2:])
    np.testing.assert_allclose(whole[2:, 0], fresh[:, 0], **CLOSE)  # began at step 2
    assert not np.allclose(whole[2:4, 1], fresh[:2, 1])  # was under way
    other, _ = GRU(SIZE).apply(params, x, memory + 1, first)
    np.testing.assert_allclose(other[:, 1], whole[:, 1], **CLOSE)  # began at step 0
    assert not np.allclose(other[0, 0], whole[0, 0])


def test_feed_forward_networks_pass_an_empty_memory():
    torso = Torso((8, SIZE), "relu", recurrent=False)
    x, memory, first = inputs(memory_size=0)
    params = arbitrary(torso, x, memory, first)
    out, after = torso.apply(params, x, memory, first)
    assert after.shape == (BATCH, 0)
    ended, _ = torso.apply(params, x, memory, ~first)
    np.testing.assert_array_equal(out, ended)


def assert_orthogonal(kernel, gain):
    kernel = np.asarray(kernel, float)
    short = kernel if kernel.shape[0] <= kernel.shape[1] else kernel.T
    np.testing.assert_allclose(short @ short.T, gain**2 * np.eye(len(short)), atol=1e-5)


@pytest.mark.parametrize(("activation", "gain"), [("relu", np.sqrt(2)), ("tanh", 5 / 3)])
def test_networks_begin_orthogonal_with_their_gains(activation, gain):
    torso = Torso((8, SIZE), activation, recurrent=True)
    actor = ActorNetwork(torso, head_size=3, output_gain=0.01, initial_log_std=None)
    params = jax.jit(actor.init)(jax.random.PRNGKey(2), *inputs())["params"]
    body = params["torso"]
    for layer in range(2):
        assert_orthogonal(body[f"Dense_{layer}"]["kernel"], gain)
    for gate in GATES:
        assert_orthogonal(body["GRU_0"][f"input_{gate}"]["kernel"], 1)
        assert_orthogonal(body["GRU_0"][f"recurrent_{gate}"], 1)
    assert_orthogonal(params["Dense_0"]["kernel"], 0.01)
    critic = jax.jit(CriticNetwork(torso).init)(jax.random.PRNGKey(3), *inputs())["params"]
    assert_orthogonal(critic["Dense_0"]["kernel"], 1)
    for path, leaf in jax.tree.leaves_with_path((params, critic)):
        if "bias" in jax.tree_util.keystr(path):
            assert (np.asarray(leaf) == 0).all()


def test_discrete_actor_gives_logits_from_its_features():
    torso = Torso((8, SIZE), "relu", recurrent=True)
    actor = ActorNetwork(torso, head_size=3, output_gain=1.0, initial_log_std=None)
    x, memory, first = inputs()
    params = arbitrary(actor, x, memory, first)
    out, after = actor.apply(params, x, memory, first)
    p = params["params"]
    features, last = torso_loop(p["torso"], relu, x, memory, first)
    expected = features @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
    np.testing.assert_allclose(out, expected, **CLOSE)
    np.testing.assert_allclose(after, last, **CLOSE)


def test_continuous_actor_gives_bounded_means_and_free_deviations():
    torso = Torso((8, SIZE), "relu", recurrent=False)
    actor = ActorNetwork(torso, head_size=2, output_gain=0.01, initial_log_std=-0.5)
    x, memory, first = inputs(memory_size=0)
    fresh = actor.init(jax.random.PRNGKey(4), x, memory, first)
    out, _ = actor.apply(fresh, x, memory, first)
    assert out.shape == (STEPS, BATCH, 4)
    assert np.abs(out[..., :2]).max() < 0.1
    np.testing.assert_allclose(out[..., 2:], -0.5)

    params = arbitrary(actor, x, memory, first)
    out, _ = actor.apply(params, x, memory, first)
    p = params["params"]
    features, _ = torso_loop(p["torso"], relu, x, memory, first)
    expected = np.tanh(features @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
    np.testing.assert_allclose(out[..., :2], expected, **CLOSE)
    np.testing.assert_allclose(out[..., 2:], np.broadcast_to(p["log_std"], expected.shape), **CLOSE)


def test_critic_gives_one_value_for_each_step():
    critic = CriticNetwork(Torso((8, SIZE), "tanh", recurrent=False))
    x, memory, first = inputs(memory_size=0)
    params = arbitrary(critic, x, memory, first)
    value, _ = critic.apply(params, x, memory, first)
    p = params["params"]
    features, _ = torso_loop(p["torso"], np.tanh, x, memory, first)
    expected = features @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]
    assert value.shape == (STEPS, BATCH, 1)
    np.testing.assert_allclose(value, expected, **CLOSE)


def test_gradients_flow_back_to_the_start_of_the_episode_and_no_further():
    x, memory, first = inputs()
    params = arbitrary(GRU(SIZE), x, memory, first)
    grad = jax.grad(lambda x: GRU(SIZE).apply(params, x, memory, first)[0][3, 0].sum())(
        jnp.asarray(x)
    )
    touched = np.abs(grad).max(axis=-1) > 0
    np.testing.assert_array_equal(touched[:, 0], [False, False, True, True, False])
    assert not touched[:, 1:].any()
