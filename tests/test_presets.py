"""Every preset builds."""

import dataclasses
from typing import ClassVar

import pytest

from opspo.algorithms import ALGORITHMS, DensityConfig, HAPPOConfig, MAPPOConfig
from opspo.config import (
    OptimiserConfig,
    PolicyConfig,
    RolloutConfig,
    TrainConfig,
    ValueConfig,
    from_json,
    to_json,
)
from opspo.environments import environment_ids
from opspo.errors import ConfigError
from opspo.presets import default_config, preset_config, variant_config


@pytest.mark.parametrize("algo", sorted(ALGORITHMS))
@pytest.mark.parametrize("env", environment_ids())
def test_every_default_builds_and_survives_json(env, algo):
    config = default_config(env, algo)
    assert (config.env, config.algo) == (env, algo)
    assert from_json(to_json(config)) == config


@pytest.mark.parametrize("parent", [MAPPOConfig, HAPPOConfig])
@pytest.mark.parametrize("env", ["smac/3s5z", "smac/10m_vs_11m", "smax/3m", "football/5_vs_5"])
def test_an_algorithm_that_comes_later_has_defaults(env, parent, monkeypatch):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Later(parent):
        name: ClassVar[str] = "later"
        clip: float = 0.25

    monkeypatch.setitem(ALGORITHMS, "later", Later)
    config = default_config(env, "later")
    assert (config.env, config.algo, config.algorithm.clip) == (env, "later", 0.25)
    same_run = default_config(env, parent.name)
    assert config.rollout == same_run.rollout and config.policy == same_run.policy


def test_unknown_algorithm():
    with pytest.raises(ConfigError, match="Unknown algorithm"):
        default_config("smax/3m", "ppo")


@pytest.mark.parametrize("algo", sorted(ALGORITHMS))
def test_jaxmarls_settings_build(algo):
    config = preset_config("jaxmarl", "smax/3m", algo)
    assert config.steps_per_iteration == 128 * 128
    assert config.chunk_length == config.rollout.num_steps  # whole sequences, as JaxMARL has it
    assert from_json(to_json(config)) == config


def test_jaxmarls_settings_are_for_smax():
    with pytest.raises(ConfigError, match="for SMAX"):
        preset_config("jaxmarl", "probe/one_step", "mappo")


@pytest.mark.parametrize(
    ("preset", "env", "agents", "epochs"),
    [
        ("default", "smax/2s3z", 5, 3 * 2),
        ("paper", "smax/3s5z", 8, 6),  # ceil(5 / 3) rounds of 3 blocks
        ("paper", "smac/8m_vs_9m", 8, 15),
        ("jaxmarl", "smax/3m", 3, 4 * 2),
    ],
)
def test_equal_steps_go_with_any_preset(preset, env, agents, epochs):
    """By the blocks that HAPPO has there."""
    config = preset_config(preset, env, "mappo")
    equal = variant_config("equal_steps", config, num_agents=agents, preset=preset)
    assert equal.algorithm.epochs == epochs
    assert dataclasses.replace(equal, algorithm=config.algorithm) == config


def test_equal_steps_with_separate_parameters_are_further_passes_of_the_critic():
    config = preset_config("paper", "mamujoco/HalfCheetah-6x1", "mappo")
    equal = variant_config("equal_steps", config, num_agents=6, preset="paper").algorithm
    assert (equal.epochs, equal.extra_critic_passes) == (5, 5)


def test_equal_steps_leave_those_in_turn_as_they_are():
    for preset, env in (("literal", "smax/3m"), ("paper", "mamujoco/Ant-8x1")):
        config = preset_config(preset, env, "opspo")
        assert variant_config("equal_steps", config, num_agents=8, preset=preset) == config


def test_unknown_variant_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'equal_steps'"):
        variant_config("equal_step", default_config("smax/3m", "mappo"), num_agents=3)


SHAPING = (RolloutConfig, PolicyConfig, OptimiserConfig, ValueConfig, DensityConfig)
FREE = {"seed", "run_dir", "devices", "tensorboard", "bound_estimates", "composed_by"}
"""Settings of a run that no preset speaks of, as the sections `evaluation` and `checkpoint`."""


def moved_defaults(monkeypatch):
    """Every default that shapes what is learned is something that no config takes."""
    for kind in (*SHAPING, *ALGORITHMS.values(), TrainConfig):
        names = {item.name for item in dataclasses.fields(kind)}
        if kind is TrainConfig:
            names -= FREE | {"evaluation", "checkpoint"}
        for name in names:
            monkeypatch.setitem(kind.__init__.__kwdefaults__, name, object())


PINNED = [
    *(("paper", env, algo) for env in ("smac/3s5z", "mamujoco/Hopper-3x1") for algo in ALGORITHMS),
    *(("literal", env, "opspo") for env in ("smax/3m", "mamujoco/Hopper-3x1", "probe/credit")),
    ("literal", "football/5_vs_5", "opspo"),
]


@pytest.mark.parametrize(("preset", "env", "algo"), PINNED)
def test_a_paper_does_not_move_with_our_defaults(preset, env, algo, monkeypatch):
    before = preset_config(preset, env, algo)
    moved_defaults(monkeypatch)
    assert preset_config(preset, env, algo) == before


def test_the_defaults_above_do_move(monkeypatch):
    moved_defaults(monkeypatch)
    with pytest.raises((TypeError, ConfigError)):
        default_config("smax/3m", "opspo")
