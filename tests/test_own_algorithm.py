"""Algorithms of the user's own: terms in place of ours, declarations from outside the package."""

import json
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from own import PushConfig, config_of
from small import small_config

import opspo
from opspo.algorithms import ALGORITHMS, HAPPOConfig, OPSPOConfig
from opspo.cli import main
from opspo.config import TrainConfig, from_json, to_json
from opspo.environments import make_env
from opspo.errors import ConfigError
from opspo.estimators import action_ratios, advantages, ratio_scopes, trace_decays, value_targets
from opspo.objectives import clip_ranges
from opspo.run_folder import RunFolder
from opspo.state_weights import Formula
from opspo.training.assembly import make_learner, with_algorithm
from opspo.training.evaluate_run import evaluate_run
from opspo.training.recorder import Recorder
from opspo.training.resuming import resume
from opspo.training.trainer import train, train_seeds
from opspo.update import orders
from opspo.update.compose import compose

pytestmark = pytest.mark.slow


def parameters_after(config, algorithm=None, iterations=1):
    learner = make_learner(config, make_env(config.env), algorithm)
    state, iterate = jax.jit(learner.init)(0), jax.jit(learner.iterate)
    for _ in range(iterations):
        state, _ = iterate(state)
    return jax.tree.leaves((state.actor, state.critic))


def same(one, other):
    return all((a == b).all() for a, b in zip(one, other, strict=True))


# a user's copy of each of our terms, under names of the user's own
COPIES: dict[str, Any] = {
    "advantage": lambda reward, value, next_value, done, log_ratio, gamma, gae_lambda: (
        advantages.trace(
            reward, value, next_value, done, log_ratio, gamma=gamma, gae_lambda=gae_lambda
        )
    ),
    "value_target": value_targets.advantage,
    "trace_decay": lambda log_ratio, gae_lambda, trace_clip: trace_decays.factor(
        log_ratio, gae_lambda=gae_lambda, trace_clip=trace_clip
    ),
    "trace_agents": ratio_scopes.others,
    "weight_agents": lambda log_ratios, agents, rank: ratio_scopes.others(log_ratios, agents),
    "action_ratio": action_ratios.product,
    "state_weight": lambda: Formula(lambda log_ratio, first: jnp.ones_like(log_ratio)),
    "clip_range": lambda log_ratio, clip, others_clip: clip_ranges.corrected(
        log_ratio, clip=clip, others_clip=others_clip
    ),
    "order": orders.semi_greedy,
}
OTHERS: dict[str, Any] = {
    "advantage": lambda reward, value: reward - value,
    "value_target": lambda value, advantage: value - advantage,
    "trace_decay": lambda log_ratio: 0.1 * jnp.ones_like(log_ratio),
    "trace_agents": lambda log_ratios, agents: -log_ratios[..., agents],
    "weight_agents": lambda log_ratios, agents: log_ratios[..., agents] + 0.1,
    "action_ratio": lambda now, before, own: 0.5 * (now - before).sum(-1),
    "state_weight": lambda: Formula(lambda log_ratio, first: 0.5 * jnp.ones_like(log_ratio)),
    "clip_range": lambda log_ratio: (0.5 * jnp.ones_like(log_ratio),) * 3,
    "order": lambda key, score: jnp.array([1, 0]),
}


@pytest.fixture(scope="module")
def ours():
    config = small_config(
        "probe/credit", "opspo", shared=False, epochs=2, state_weight="none", minibatches=2
    )
    return config, parameters_after(config, iterations=2)


def test_functions_in_place_of_names_train_as_the_names_do(ours):
    """Copies of all our terms give our parameters, bit for bit."""
    config, expected = ours
    algorithm = replace(config.algorithm, **COPIES)
    assert same(parameters_after(replace(config, algorithm=algorithm), iterations=2), expected)


@pytest.mark.parametrize("setting", OTHERS)
def test_another_function_trains_otherwise(ours, setting):
    config, expected = ours
    algorithm = replace(config.algorithm, **{setting: OTHERS[setting]})
    found = parameters_after(replace(config, algorithm=algorithm), iterations=2)
    assert not same(found, expected)


def test_a_term_is_replaced_in_a_composed_algorithm(tmp_path):
    config = config_of(tmp_path)

    def composed(networks, term):
        return replace(compose(config.algorithm, networks), clip_range=term)

    for term, is_same in ((partial(clip_ranges.ratio, clip=0.2), True), (clip_ranges.ppo, False)):
        found = parameters_after(config, partial(composed, term=term))
        assert same(found, parameters_after(config)) == is_same


def test_an_algorithm_shows_its_equation(tmp_path):
    config = config_of(tmp_path)
    networks = make_learner(config, make_env(config.env)).update.networks
    shown = repr(compose(OPSPOConfig(), networks))
    fields = "advantage=<function trace clip_range=<function corrected range_is_live=False"
    assert all(part in shown for part in fields.replace(" c", "|c").replace(" r", "|r").split("|"))
    assert compose(OPSPOConfig(), networks).advantage is advantages.trace


def test_a_declaration_from_outside_trains_stops_and_continues_exactly(tmp_path):
    whole = config_of(tmp_path, run_dir=str(tmp_path / "whole"))
    train(whole, algorithm=PushConfig(epochs=1))
    parts = replace(whole, run_dir=str(tmp_path / "parts"), total_steps=whole.total_steps // 2)
    train(parts, algorithm=PushConfig(epochs=1))
    resume(tmp_path / "parts", algorithm=PushConfig(epochs=1), total_steps=whole.total_steps)
    observation = np.zeros((2, opspo.load_policy(tmp_path / "whole").spec.observation_size))
    one, other = (opspo.load_policy(tmp_path / name) for name in ("whole", "parts"))
    assert same(jax.tree.leaves(one.params), jax.tree.leaves(other.params))
    np.testing.assert_array_equal(one.act(observation), other.act(observation))


def test_the_folder_says_whose_the_algorithm_is_and_resume_asks_for_it(tmp_path, capsys):
    config = config_of(tmp_path)
    train(config, algorithm=PushConfig(epochs=1, push=0.5))
    text = (tmp_path / "run" / "config.json").read_text()
    written = json.loads(text)
    assert written["declaration"] == "own:PushConfig"
    assert written["algorithm"]["clip_range"] == "own:own_range"
    assert (written["algo"], written["algorithm"]["push"]) == ("push", 0.5)
    assert to_json(from_json(text)) == text, "read and written again"
    with pytest.raises(ConfigError, match=r"your own: .*:PushConfig.*opspo\.resume.*algorithm="):
        resume(tmp_path / "run", total_steps=2 * config.total_steps)
    with pytest.raises(SystemExit) as stop:
        main(["resume", "--run-dir", str(tmp_path / "run"), "--total-steps", "9999"])
    assert stop.value.code == 2 and "PushConfig" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "--from-config", str(tmp_path / "run/config.json"), "--run-dir", "x"])
    assert "--from-config" in (said := capsys.readouterr().err) and "PushConfig" in said
    played = evaluate_run(tmp_path / "run", episodes=2, seed=0)
    assert len(played.returns) == 2


def test_a_composed_algorithm_is_asked_for_too(tmp_path):
    config = config_of(tmp_path)

    def composed(networks):
        return replace(
            compose(config.algorithm, networks),
            clip_range=lambda log_ratio: clip_ranges.ppo(log_ratio, clip=0.2),
        )

    train(config, algorithm=composed)
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["composed_by"].endswith("composed")
    with pytest.raises(ConfigError, match="composed"):
        resume(tmp_path / "run", total_steps=2 * config.total_steps)
    result = resume(tmp_path / "run", algorithm=composed, total_steps=2 * config.total_steps)
    assert result.env_steps == 2 * config.total_steps


def test_a_run_that_takes_up_an_own_algorithm_says_so(tmp_path):
    config = config_of(tmp_path)
    train(config)
    resume(tmp_path / "run", algorithm=HAPPOConfig(epochs=1, clip_range=COPIES["clip_range"]))
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert "lambda" in written["algorithm"]["clip_range"]
    with pytest.raises(ConfigError, match="your own"):
        resume(tmp_path / "run")


def test_a_stopped_run_says_that_it_needs_its_algorithm(tmp_path):
    config = replace(config_of(tmp_path), env="own")
    member = Recorder(with_algorithm(config, PushConfig()), RunFolder(tmp_path / "run"))
    expected = f"opspo.resume('{tmp_path / 'run'}', environment=..., algorithm=...)"
    assert member.how_to_resume == expected


def test_seeds_share_an_own_algorithm(tmp_path):
    config = config_of(tmp_path)
    results = train_seeds(config, [0, 1], algorithm=PushConfig(epochs=1))
    for result in results:
        assert json.loads((result.run_dir / "config.json").read_text())["algo"] == "push"


def test_nothing_imports_what_a_folder_names(tmp_path, monkeypatch):
    (tmp_path / "hostile.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    data = json.loads(to_json(TrainConfig()))
    data |= {"declaration": "hostile:Mine", "algo": "mine", "composed_by": "hostile:make"}
    data["algorithm"] |= {"advantage": "hostile:advantage", "further": [1, 2]}
    config = from_json(json.dumps(data))
    assert config.algorithm.further == [1, 2]
    with pytest.raises(ConfigError, match="hostile:make"):
        make_learner(config, make_env("probe/credit"))
    with pytest.raises(ConfigError, match="hostile:Mine"):
        make_learner(replace(config, composed_by=""), make_env("probe/credit"))


def test_the_name_of_the_algorithm_is_its_declarations():
    with pytest.raises(ConfigError, match="algo must be 'push'"):
        TrainConfig(algo="happo", algorithm=PushConfig())
    assert TrainConfig(algo="push", algorithm=PushConfig()).algo not in ALGORITHMS
