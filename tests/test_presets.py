"""Every preset builds."""

import dataclasses

import pytest

from opspo.algorithms import ALGORITHMS
from opspo.config import from_json, to_json
from opspo.environments import environment_ids
from opspo.errors import ConfigError
from opspo.presets import default_config, preset_config, variant_config


@pytest.mark.parametrize("algo", sorted(ALGORITHMS))
@pytest.mark.parametrize("env", environment_ids())
def test_every_default_builds_and_survives_json(env, algo):
    config = default_config(env, algo)
    assert (config.env, config.algo) == (env, algo)
    assert from_json(to_json(config)) == config


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
