"""Every preset builds."""

import pytest

from opspo.config import ALGORITHM_CONFIGS, ConfigError, from_json, to_json
from opspo.environments import environment_ids
from opspo.presets import default_config


@pytest.mark.parametrize("algo", sorted(ALGORITHM_CONFIGS))
@pytest.mark.parametrize("env", environment_ids())
def test_every_default_builds_and_survives_json(env, algo):
    config = default_config(env, algo)
    assert (config.env, config.algo) == (env, algo)
    assert from_json(to_json(config)) == config


def test_unknown_algorithm():
    with pytest.raises(ConfigError, match="Unknown algorithm"):
        default_config("smax/3m", "ppo")
