"""What a user's own algorithm can get wrong: told before anything is written or dropped."""

import dataclasses
import json
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import jax.numpy as jnp
import pytest
from own import PushConfig, config_of
from small import small_config

from opspo.algorithms import AlgorithmConfig, CoPPOConfig, HAPPOConfig, MAPPOConfig, OPSPOConfig
from opspo.config import CheckpointConfig, from_json, to_json
from opspo.environments import make_env
from opspo.errors import ConfigError
from opspo.estimators import trace_decays
from opspo.state_weights import Formula
from opspo.training.assembly import make_learner
from opspo.training.resuming import resume
from opspo.training.trainer import train
from opspo.update.compose import compose

pytestmark = pytest.mark.slow


def test_a_term_that_asks_for_what_there_is_not_is_told_what_there_is(tmp_path):
    def wants_more(log_ratio, *, clip, epsilon):
        raise AssertionError

    config = config_of(tmp_path)
    own = replace(config.algorithm, clip_range=wants_more)
    with pytest.raises(ConfigError, match=r"clip_range: .*asks for 'epsilon'.*log_ratio.*position"):
        train(replace(config, algorithm=own))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("setting", "term", "told"),
    [
        (
            "advantage",
            lambda reward: reward.sum(0),
            r"advantage: .*\[16, 16, 2\].*\[16, 1\]",
        ),
        ("value_target", lambda value: value[1:], r"value_target: .*but returned \[15, 16, 1\]"),
        ("clip_range", lambda log_ratio: log_ratio, "must return three arrays"),
        ("clip_range", lambda log_ratio: (log_ratio[0],) * 3, r"clip_range: .*returned \[16, 2\]"),
    ],
)
def test_what_a_term_returns_is_checked(tmp_path, setting, term, told):
    config = config_of(tmp_path, policy=replace(config_of(tmp_path).policy, share_parameters=True))
    own = replace(config.algorithm, **{setting: term})
    with pytest.raises(ConfigError, match=told):
        train(replace(config, algorithm=own))
    assert not (tmp_path / "run").exists(), "said before anything is written"


def test_a_class_or_another_thing_is_no_algorithm(tmp_path):
    for wrong in (PushConfig, "happo"):
        with pytest.raises(ConfigError, match=r"such as HAPPOConfig\(\)"):
            train(config_of(tmp_path), algorithm=wrong)


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(ConfigError, match=r"algorithm\.clip_range 'ratoi'\. Did you mean 'ratio'"):
        HAPPOConfig(clip_range="ratoi")


WEIGHT = Formula(lambda log_ratio, first: jnp.ones(3))
RETURNED = {
    "order": (lambda key, score: score, "order: .*must return a permutation.*returned float"),
    "action_ratio": (lambda new, old, own: new, r"action_ratio: .*returned \[1, 256, 1, 1\]"),
    "trace_agents": (lambda log_ratios: log_ratios.sum(0), r"trace_agents: .*\[16, 16, 1\]"),
    "weight_agents": (lambda log_ratios: None, r"weight_agents: .*an array, but returned None"),
    "state_weight": (lambda: WEIGHT, r"state_weight: .*Formula must return .*returned \[3\]"),
}
ASKED = {
    "order": (lambda key: key, r"order: .*is called as \(key, score\), but takes \(key\)"),
    "action_ratio": (lambda new, old: new - old, "action_ratio: .*is called as"),
    "state_weight": (lambda: jnp.exp, "state_weight must make a StateWeight, .*Formula"),
}


@pytest.mark.parametrize(
    ("setting", "term", "told"),
    [(name, *case) for cases in (RETURNED, ASKED) for name, case in cases.items()],
)
def test_a_term_of_another_form_is_told_what_is_wanted(tmp_path, setting, term, told):
    own = HAPPOConfig(epochs=1, **{setting: term})
    with pytest.raises(ConfigError, match=f"algorithm.{told}"):
        train(replace(config_of(tmp_path), algorithm=own))
    assert not (tmp_path / "run").exists()


def composed(networks, declaration, **terms):
    return replace(compose(declaration, networks), **terms)


NOT_RUNNING = "running is a whole advantage estimator"
HAPPO = HAPPOConfig(epochs=1)


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (lambda networks: networks, "must return an Algorithm"),
        (partial(composed, declaration=HAPPO, clip_range=None), "clip_range must be .*None"),
        (partial(composed, declaration=HAPPO, trace_decay=trace_decays.running), NOT_RUNNING),
        (
            partial(
                composed,
                declaration=OPSPOConfig(trace_decay="running"),
                advantage=lambda reward: reward,
            ),
            NOT_RUNNING,
        ),
        (
            partial(composed, declaration=HAPPOConfig(epochs=1, gamma=0.9)),
            r"differ in gamma \(0\.99, 0\.9\)",
        ),
        (partial(composed, declaration=CoPPOConfig()), "declaration .'happo', 'coppo'."),
    ],
)
def test_a_function_that_composes_something_else_is_told(tmp_path, own, told):
    with pytest.raises(ConfigError, match=told):
        train(config_of(tmp_path), algorithm=own)
    assert not (tmp_path / "run").exists()


def undecorated():
    class Forgotten(HAPPOConfig):
        clip_range: Any = "ppo"

    return Forgotten()


def nameless():
    @dataclass(frozen=True, kw_only=True)
    class Nameless(AlgorithmConfig):
        clip_range: Any = "ppo"

    return Nameless()


def with_field(field, base=HAPPOConfig, **values):
    return dataclasses.make_dataclass("Own", [(field, Any, 1)], bases=(base,), frozen=True)(
        **values
    )


def one_of_both():
    @dataclass(frozen=True, kw_only=True)
    class Both(MAPPOConfig):
        sequential: ClassVar[bool] = True

    return Both()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (undecorated, r"Forgotten has the fields of its parent.*@dataclass\(frozen"),
        (nameless, r"Nameless needs a name"),
        (partial(with_field, "name"), r"Own\.name is not a setting.*ClassVar"),
        (partial(with_field, "reward"), "Own has fields with the names of what .*: reward"),
        (partial(with_field, "networks"), "Own has fields with the names of what .*: networks"),
        (one_of_both, r"Both\.sequential is True\. Derive a sequential"),
        (partial(HAPPOConfig, clip_range=None), "clip_range 'None'"),
        (
            partial(OPSPOConfig, trace_decay=trace_decays.running, advantage=lambda reward: reward),
            "trace_decay must be another than 'running'",
        ),
    ],
)
def test_a_declaration_of_another_form_is_told(make, told):
    with pytest.raises(ConfigError, match=told):
        make_learner(small_config("probe/credit"), make_env("probe/credit"), make())


def test_what_cannot_be_written_is_told_before_a_run_is_replaced(tmp_path):
    config = config_of(tmp_path)
    train(config)
    before = kept(tmp_path / "run")
    own = with_field("scale", epochs=1, scale=jnp.ones(2))
    with pytest.raises(ConfigError, match=r"algorithm\.scale = .*cannot be written to config"):
        train(config, algorithm=own, overwrite=True)
    assert kept(tmp_path / "run") == before


@pytest.mark.parametrize("setting", RETURNED)
def test_a_refused_resume_drops_nothing(tmp_path, setting):
    config = replace(config_of(tmp_path), checkpoint=CheckpointConfig(every_steps=256))
    train(config)
    before = kept(tmp_path / "run")
    own, told = HAPPOConfig(epochs=1, **{setting: RETURNED[setting][0]}), RETURNED[setting][1]
    with pytest.raises(ConfigError, match=told):
        resume(tmp_path / "run", algorithm=own, checkpoint=2)
    assert kept(tmp_path / "run") == before


def kept(folder):
    """Every file of a run but its lock."""
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("setting", ["order", "action_ratio", "clip_range", "state_weight"])
def test_a_function_that_is_known_by_name_alone_is_asked_for(setting):
    config = small_config("probe/credit", "happo")
    data = json.loads(to_json(config))
    data["algorithm"][setting] = "their:own"
    with pytest.raises(ConfigError, match=r"your own: their:own"):
        make_learner(from_json(json.dumps(data)), make_env("probe/credit"))


@pytest.mark.parametrize(
    "change",
    [
        {"declaration": 3},
        {"declaration": "Own"},
        {"declaration": "own:Own", "algo": 3},
        {"declaration": "own:Own", "algorithm": {"name": "other"}},
        {"declaration": "own:Own", "algorithm": {"stands_for": ""}},
        {"declaration": "own:Own", "algorithm": {"not a name": 1}},
        {"declaration": "own:Own", "algorithm": {"class": 1}},
    ],
)
def test_a_file_that_no_declaration_can_have_written_is_refused(change):
    data = json.loads(to_json(small_config("probe/credit", "happo")))
    algorithm = {"algorithm": data["algorithm"] | change.get("algorithm", {})}
    with pytest.raises(ConfigError):
        from_json(json.dumps(data | change | algorithm))
