"""`opspo bench` on a probe: what it writes."""

import json
import os
import subprocess
import sys
import time
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from hosts import OnHost
from small import small_config

from opspo.bench import measure
from opspo.bench.engine import playing
from opspo.bench.measure import Timing, peak_memory, product_rate, time_call
from opspo.bench.training import batch_of, iteration_flop
from opspo.cli import main
from opspo.config import from_json
from opspo.environments import make_env
from opspo.training.assembly import make_learner

SMALL = [
    *("--rollout.num-envs", "4", "--rollout.num-steps", "10", "--policy.hidden-sizes", "8"),
    *("--algorithm.epochs", "1"),
]


@pytest.fixture(autouse=True)
def small_product(monkeypatch):
    """The machine's rate is found with a product of 0.3 GFLOP, where a user's has 137."""
    monkeypatch.setattr(measure, "PRODUCT_SIZE", 512)


def bench(tmp_path, *arguments):
    out = tmp_path / "out.json"
    main(["bench", *arguments, "--out", str(out)])
    return json.loads(out.read_text())


@pytest.mark.slow
def test_an_engine_alone(tmp_path):
    flags = ["--num-envs", "4", "--num-steps", "10", "--rounds", "3"]
    found = bench(tmp_path, "env", "--env", "probe/credit", *flags)
    assert found["steps"] == 40 and len(found["seconds"]["rounds"]) == 3
    assert found["versions"]["packages"]["jax"]
    assert 0 < found["seconds"]["lower_quartile"] <= found["seconds"]["median"]
    rate = found["steps_per_second"]["median"]
    assert rate == pytest.approx(40 / found["seconds"]["median"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["update", "train"])
def test_learning(name, tmp_path):
    found = bench(
        tmp_path, name, "--env", "probe/memory", "--algo", "mappo", "--rounds", "2", *SMALL
    )
    assert found["benchmark"] == name and found["settings"]["config"]["rollout"]["num_envs"] == 4
    assert found["compile_seconds"] > 0.1  # in spite of the cache that the tests share
    # once through actors (2 agents, 6 features) and critic (7), with the two sums of each norm; a
    # gradient comes to less than three times that, values once more (and the play, where it is in)
    once = 2 * 40 * (2 * (6 * 8 + 8 * 2) + (7 * 8 + 8) + 2 * (2 * (6 + 8) + (7 + 8)))
    assert 2.5 * once < found["flop"] < 5 * once
    assert found["flop_per_second"] == pytest.approx(found["flop"] / found["seconds"]["median"])
    assert 0 < found["share_of_product_rate"] < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "algo",
    [
        ["opspo"],
        pytest.param(["mappo"], marks=pytest.mark.full),
        pytest.param(["happo", "--algorithm.critic-epochs", "2"], marks=pytest.mark.full),
    ],
    ids=" ".join,
)
def test_the_parts_make_up_the_whole(algo, tmp_path):
    flags = [*SMALL, "--algo", *algo, "--policy.recurrent", "--rounds", "1"]
    found = bench(tmp_path, "parts", "--env", "probe/memory", *flags)
    parts = {part["name"]: part for part in found["parts"]}
    whole = parts.pop("the whole")
    assert sum(part["share"] for part in parts.values()) == pytest.approx(1) == whole["share"]
    assert sum(part["seconds"] for part in parts.values()) == pytest.approx(whole["seconds"])
    assert min(part["seconds"] for name, part in parts.items() if name != "the rest") > 0
    # no product of an iteration is missing in the pieces, and none is in two
    config = from_json(json.dumps(found["settings"]["config"]))
    learner = make_learner(config, make_env(config.env))
    assert whole["flop"] == iteration_flop(learner, jax.eval_shape(learner.init, 0))


@pytest.mark.full
def test_all_algorithms(tmp_path):
    costs = bench(tmp_path, "algos", "--env", "probe/credit", "--rounds", "1")["costs"]
    assert {(c["algo"], c["shared"]) for c in costs} >= {("happo", True), ("opspo", False)}
    assert all(c["seconds"] > 0 for c in costs)
    assert [c["ratio"] for c in costs if c["algo"] == "happo"] == [1.0, 1.0]


def test_the_first_call_is_set_apart():
    calls = []

    def call():
        calls.append(time.sleep(0.3 if not calls else 0.01))
        return jax.jit(lambda x: x + len(calls))(jnp.ones(3))

    timing = time_call(call, 3)
    assert len(calls) == 4 and len(timing.seconds) == 3
    assert timing.first_seconds > 0.3
    assert 0.01 < timing.median < timing.first_seconds
    assert 0 < timing.compile_seconds < timing.first_seconds - 0.3


def test_what_is_timed_is_compiled_for_real_and_the_cache_is_on_again(tmp_path):
    code = """
import jax, pathlib, sys
from opspo.bench.measure import time_call
cache = pathlib.Path(sys.argv[1])
square = jax.jit(lambda n: jax.numpy.ones((n, n)) @ jax.numpy.ones((n, n)), static_argnums=0)
time_call(lambda: square(9), 1)
assert not list(cache.rglob('*-cache'))
square(8)
assert list(cache.rglob('*-cache'))
"""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=os.environ | cache, check=True)


def test_median_and_quartiles():
    timing = Timing((5.0, 1.0, 2.0, 4.0, 3.0), first_seconds=10.0, compile_seconds=4.0)
    assert (timing.median, timing.quartiles) == (3.0, (2.0, 4.0))
    assert timing.lower_seconds == 3.0


@pytest.mark.parametrize("name", ["masks", "continuous"])
def test_an_engine_plays_on_from_round_to_round(name):
    limit = make_env(f"probe/{name}").spec.episode_limit
    with playing(make_env(f"probe/{name}"), num_envs=3, num_steps=limit + 1) as play:
        assert play().episode_length.tolist() == [1, 1, 1]
        after = play()
    assert after.episode_length.tolist() == [2 % limit] * 3
    if name == "masks":  # what is not available costs 10
        assert (after.episode_return >= 0).all()


def test_a_host_engine_is_closed():
    environment = OnHost("masks")
    with playing(environment, num_envs=3, num_steps=2) as play:
        play()
    assert environment.opened[0].closed


def test_engines_outside_of_jax_cost_and_give_the_same():
    config = small_config("probe/memory", recurrent=True)
    engine = OnHost("memory")
    on_host, in_jax = (make_learner(config, e) for e in (engine, make_env(config.env)))
    state = jax.eval_shape(on_host.init, 0)
    assert iteration_flop(on_host, state) > 0
    assert iteration_flop(on_host, state) == iteration_flop(in_jax, jax.eval_shape(in_jax.init, 0))
    batch = batch_of(on_host, jax.jit(on_host.init, static_argnums=0)(0))
    alike = jax.eval_shape(partial(batch_of, in_jax), jax.eval_shape(in_jax.init, 0))
    assert jax.tree.map(jnp.shape, batch) == jax.tree.map(jnp.shape, alike)
    assert engine.opened[0].closed


def test_the_machine():
    assert product_rate() > 1e9
    assert 2**26 < peak_memory() < 2**40
