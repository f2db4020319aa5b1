"""Every preset builds."""

import pytest

from opspo.config import ALGORITHM_CONFIGS, ConfigError, from_json, to_json
from opspo.environments import environment_ids
from opspo.presets import default_config, preset_config


@pytest.mark.parametrize("algo", sorted(ALGORITHM_CONFIGS))
@pytest.mark.parametrize("env", environment_ids())
def test_every_default_builds_and_survives_json(env, algo):
    config = default_config(env, algo)
    assert (config.env, config.algo) == (env, algo)
    assert from_json(to_json(config)) == config


def test_unknown_algorithm():
    with pytest.raises(ConfigError, match="Unknown algorithm"):
        default_config("smax/3m", "ppo")


@pytest.mark.parametrize("algo", sorted(ALGORITHM_CONFIGS))
def test_jaxmarls_settings_build(algo):
    config = preset_config("jaxmarl", "smax/3m", algo)
    assert config.steps_per_iteration == 128 * 128
    assert config.chunk_length == config.rollout.num_steps  # whole sequences, as JaxMARL has it
    assert from_json(to_json(config)) == config


def test_jaxmarls_settings_are_for_smax():
    with pytest.raises(ConfigError, match="for SMAX"):
        preset_config("jaxmarl", "probe/one_step", "mappo")
