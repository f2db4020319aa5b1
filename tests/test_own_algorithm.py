"""Algorithms of the user's own: terms in place of ours, declarations from outside the package."""

import io
import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from own import PushConfig, config_of, own_range
from rich.console import Console
from small import small_config

import opspo
from opspo.algorithms import ALGORITHMS, HAPPOConfig, MAPPOConfig, OPSPOConfig
from opspo.algorithms.names import TERMS
from opspo.cli import main
from opspo.config import TrainConfig, from_json, to_json
from opspo.config.own import plain_algorithm
from opspo.environments import make_env
from opspo.errors import ConfigError
from opspo.estimators import action_ratios, advantages, ratio_scopes, trace_decays, value_targets
from opspo.objectives import clip_ranges
from opspo.run_folder import RunFolder, read_lines
from opspo.state_weights import Formula
from opspo.training.assembly import make_learner, with_algorithm
from opspo.training.evaluate_run import evaluate_run
from opspo.training.recorder import Recorder
from opspo.training.resuming import resume
from opspo.training.trainer import train, train_seeds
from opspo.update import orders
from opspo.update.compose import MODULES, compose
from opspo.update.schedule import Plan

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
    assert "opspo.train" in member.how_to_start_again, "the command line cannot"
    plain = Recorder(config_of(tmp_path), RunFolder(tmp_path / "run"))
    assert "opspo train --from-config" in plain.how_to_start_again


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


@dataclass(frozen=True, kw_only=True)
class HalfConfig(MAPPOConfig):
    """MAPPO whose surrogate counts half."""

    name: ClassVar[str] = "half"
    clip_range: Any = lambda log_ratio, *, clip: (0.5, 1 - clip, 1 + clip)


def test_a_weight_counts_once_where_all_move_at_the_same_time():
    settings = {"epochs": 1, "normalise_advantage": False, "entropy_coefficient": 0.0}
    config = small_config("probe/credit", "mappo", **settings)
    losses = []
    for own in (MAPPOConfig(**settings), HalfConfig(**settings)):
        learner = make_learner(config, make_env(config.env), own)
        _, metrics = jax.jit(learner.iterate)(jax.jit(learner.init)(0))
        losses.append(float(metrics["losses"]["policy_loss"]))
    assert abs(losses[0]) > 0.01
    assert losses[1] == pytest.approx(losses[0] / 2, rel=1e-5)


@dataclass(frozen=True)
class Counted:
    """A callable dataclass: a range whose weight is a power."""

    push: float

    def __call__(self, log_ratio, *, clip):
        return own_range(log_ratio, clip=clip, push=self.push)


@dataclass(frozen=True, kw_only=True)
class StrictConfig(HAPPOConfig):
    """Fields of other types than their base's, and a check of its own."""

    name: ClassVar[str] = "strict"
    clip_range: Any = Counted(1.0)
    clip: Any = (0.2,)
    density: Any = None

    def __post_init__(self):
        if self.clip != (0.2,):
            raise ValueError("only its own class knows this")


def first_of_two(clip_range):
    return lambda log_ratio, *, clip: clip_range(log_ratio, clip=clip[0])


def test_a_declaration_may_have_checks_and_types_of_its_own(tmp_path):
    own = StrictConfig(epochs=1, clip_range=first_of_two(Counted(1.0)))
    train(config_of(tmp_path), algorithm=own)
    text = (tmp_path / "run" / "config.json").read_text()
    assert json.loads(text)["algorithm"]["clip"] == [0.2]
    assert to_json(from_json(text)) == text
    assert len(evaluate_run(tmp_path / "run", episodes=2, seed=0).returns) == 2
    resume(tmp_path / "run", algorithm=own, total_steps=2 * config_of(tmp_path).total_steps)


def test_a_function_may_be_a_dataclass(tmp_path):
    config = config_of(tmp_path)
    own = replace(config.algorithm, clip_range=Counted(1.0))
    assert same(parameters_after(config, own), parameters_after(config))
    text = to_json(replace(config, algorithm=own))
    assert json.loads(text)["algorithm"]["clip_range"] == f"{__name__}:Counted"


@pytest.mark.parametrize("setting", MODULES)
def test_a_function_of_ours_is_its_name(setting):
    """So that what is checked for a name is checked for the function."""
    for name in get_args(TERMS[setting]):
        given = dict.fromkeys([setting], getattr(MODULES[setting], name))
        own = OPSPOConfig(**given)
        assert getattr(own, setting) == name
        assert plain_algorithm(own)[setting] == name
    with pytest.raises(ConfigError, match="others_clip"):
        OPSPOConfig(clip_range=clip_ranges.double_by_position, clip=0.2, others_clip=0.15)


class Growing:
    """ω that learns: 1 + 1% for each stage since the run began."""

    def init(self, key, example, actor):
        return jnp.zeros(())

    def begin(self, kept, batch, actor, critic, key):
        return kept

    def weigh(self, working, batch, data, stage, key):
        return jnp.full_like(data.log_ratio, 1 + 0.01 * working), working

    def moved(self, working, actor, agents):
        return working + 1

    def end(self, working):
        return working


def test_a_state_weight_of_ones_own_learns_and_continues_exactly(tmp_path):
    """Two agents in each of four iterations; its state is in the checkpoint."""
    own = HAPPOConfig(epochs=1, state_weight=Growing, state_weight_max=9.0)
    config = config_of(tmp_path, run_dir=str(tmp_path / "whole"))
    train(config, algorithm=own)
    train(
        replace(config, run_dir=str(tmp_path / "parts"), total_steps=config.total_steps // 2),
        algorithm=own,
    )
    resume(tmp_path / "parts", algorithm=own, total_steps=config.total_steps)
    whole, parts = (read_lines(tmp_path / name / "metrics.jsonl") for name in ("whole", "parts"))
    weights = [row["weight_mean"] for row in whole]
    assert weights == [row["weight_mean"] for row in parts]
    one, other = (opspo.load_policy(tmp_path / name) for name in ("whole", "parts"))
    assert same(jax.tree.leaves(one.params), jax.tree.leaves(other.params))


def test_a_schedule_of_ones_own_updates_whom_it_plans(tmp_path):
    """Agent 1 alone: agent 0 stays as it was."""
    config = config_of(tmp_path)

    def only_the_second(key, score):
        agent = jnp.array([[1]])
        return Plan(agent, agent == 1, jnp.array([[1, 0]]), epochs=1, positions=1)

    learner = make_learner(
        config,
        make_env(config.env),
        lambda networks: replace(compose(config.algorithm, networks), schedule=only_the_second),
    )
    before = jax.jit(learner.init)(0)
    after, _ = jax.jit(learner.iterate)(before)
    moved = [
        np.any([(a[i] != b[i]).any() for a, b in zip(*map(jax.tree.leaves, pair), strict=True)])
        for i in range(2)
        for pair in [(before.actor["params"], after.actor["params"])]
    ]
    assert moved == [False, True]


def test_resume_says_what_an_algorithm_changes(tmp_path):
    config = config_of(tmp_path)
    train(config, algorithm=PushConfig(epochs=1))
    shown = Console(file=io.StringIO(), width=200)
    own = PushConfig(epochs=2, push=0.5)
    resume(tmp_path / "run", algorithm=own, total_steps=2 * config.total_steps, console=shown)
    said = shown.file.getvalue()
    assert "algorithm.push was 1.0 so far, and is 0.5 now." in said
    assert "algorithm.epochs was 1 so far, and is 2 now." in said
    shown = Console(file=io.StringIO(), width=200)
    resume(tmp_path / "run", algorithm=own, total_steps=3 * config.total_steps, console=shown)
    assert "so far" not in shown.file.getvalue()
