"""What only a process with four CPU devices can show; `test_devices.py` starts it."""

import dataclasses

import jax
import numpy as np
import pytest
from hosts import OnHost
from own import PushConfig
from small import small_config

from opspo.config import OptimiserConfig
from opspo.environments import make_env
from opspo.run_folder import read_lines
from opspo.training.assembly import make_learner
from opspo.training.iteration import ready, ready_together
from opspo.training.trainer import train_seeds


def after(config, environment, iterations, seen=None):
    """The state and the metrics after some iterations, as NumPy."""
    learner = make_learner(config, environment)
    state = jax.jit(learner.init, static_argnums=0)(config.seed)
    with ready(learner, state) as (begun, iterate):
        state = begun
        for _ in range(iterations):
            state, metrics = iterate(state)
            if seen is not None:
                seen(state)
    return jax.device_get((state, metrics))


def on(config, devices):
    return dataclasses.replace(config, devices=devices)


def steady(config):
    """With a step size that makes less of rounding, where gradients are next to nothing."""
    return dataclasses.replace(config, optimiser=OptimiserConfig())


def unscaled(config):
    """As its preset has it. A feature that has not moved yet would be rounding over next to 0."""
    policy = dataclasses.replace(config.policy, running_normalisation=False)
    return dataclasses.replace(config, policy=policy)


CONFIGS = {
    "probe": small_config("probe/credit"),
    "probe, recurrent and separate": small_config("probe/memory", recurrent=True, shared=False),
    "probe, in minibatches": steady(small_config("probe/credit", "mappo", minibatches=4)),
    "smax/3m": unscaled(small_config("smax/3m", "mappo", epochs=2)),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_any_number_of_devices_gives_the_same_result(name):
    config = CONFIGS[name]
    expected = after(config, make_env(config.env), 2)
    for devices in (2, 4) if name == "probe" else (2,):
        for one, many in zip(
            jax.tree.leaves(expected),
            jax.tree.leaves(after(on(config, devices), make_env(config.env), 2)),
            strict=True,
        ):
            np.testing.assert_allclose(one, many, atol=1e-5)


def test_algorithms_of_ones_own_too():
    config = small_config("probe/credit", "happo", shared=False)
    config = dataclasses.replace(config, algo="push", algorithm=PushConfig(epochs=2, push=0.5))
    expected = after(config, make_env(config.env), 2)
    found = after(on(config, 2), make_env(config.env), 2)
    for one, many in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(one, many, atol=1e-5)


def test_engines_outside_of_jax_too():
    config = small_config("probe/credit")
    expected = after(config, OnHost("credit"), 2)
    found = after(on(config, 4), OnHost("credit"), 2)
    for one, many in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(one, many, atol=1e-5)


def test_each_device_holds_its_part_of_the_environments_and_all_parameters():
    parts = []

    def look(state):
        parts.append([x.sharding.shard_shape(x.shape) for x in jax.tree.leaves(state.rollout)])
        assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(state.actor))

    after(on(CONFIGS["probe"], 4), make_env("probe/credit"), 2, look)
    assert all(shape[0] == 4 for each in parts for shape in each)


@pytest.mark.parametrize("environment", [make_env("probe/credit"), OnHost("credit")])
def test_nothing_is_compiled_after_the_first_iteration(environment):
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: compiled.append(event)
    )
    counts = []
    after(on(CONFIGS["probe"], 2), environment, 3, lambda _: counts.append(len(compiled)))
    assert counts[0] > 0
    assert counts[1] == counts[2] == counts[0], compiled[counts[0] :]


def test_seeds_divided_over_devices_are_those_of_one(tmp_path):
    config = dataclasses.replace(CONFIGS["probe"], total_steps=512)
    for devices in (1, 2):
        folder = str(tmp_path / str(devices))
        train_seeds(dataclasses.replace(on(config, devices), run_dir=folder), range(4))
    for seed in range(4):
        one, two = (
            read_lines(tmp_path / devices / f"seed{seed}" / "metrics.jsonl")[-1]["entropy"]
            for devices in "12"
        )
        assert one == pytest.approx(two, abs=1e-5)


def test_seeds_compile_once():
    learner = make_learner(on(CONFIGS["probe"], 2), make_env("probe/credit"))
    init = jax.jit(learner.init, static_argnums=0)
    state, iterate = ready_together(learner, [init(0), init(1)])
    state, _ = iterate(state)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: compiled.append(event)
    )
    for _ in range(2):
        state, _ = iterate(state)
    assert compiled == []
