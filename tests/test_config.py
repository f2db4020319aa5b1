"""Settings: checked when made, complete as JSON, and no JAX on the way."""

import dataclasses
import re
import subprocess
import sys

import pytest

from opspo.algorithms import (
    ALGORITHMS,
    CoPPOConfig,
    DensityConfig,
    HAPPOConfig,
    MAPPOConfig,
    OPSPOConfig,
)
from opspo.config import (
    EvaluationConfig,
    PolicyConfig,
    RolloutConfig,
    TrainConfig,
    ValueConfig,
    from_json,
    to_json,
)
from opspo.errors import ConfigError


def test_nested_settings_and_infinity_survive_json():
    algorithm = OPSPOConfig(
        state_weight="linear", state_weight_max=float("inf"), density=DensityConfig(ridge=0.5)
    )
    assert from_json(to_json(TrainConfig(algorithm=algorithm))).algorithm == algorithm


def test_round_trip_through_json():
    config = TrainConfig(
        algo="mappo",
        algorithm=MAPPOConfig(clip=0.1, epochs=3),
        policy=PolicyConfig(hidden_sizes=(32, 16, 8), recurrent=True),
        seed=7,
    )
    again = from_json(to_json(config))
    assert again == config
    assert isinstance(again.algorithm, MAPPOConfig)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: TrainConfig(total_steps=0), "total_steps"),
        (lambda: RolloutConfig(num_envs=0), "rollout.num_envs"),
        (lambda: PolicyConfig(hidden_sizes=()), "policy.hidden_sizes"),
        (lambda: ValueConfig(decay=1.0), "value.decay"),
        (lambda: EvaluationConfig(episodes=0), "evaluation.episodes"),
        (lambda: TrainConfig(seed=2**31), "seed"),
        (lambda: OPSPOConfig(gamma=1.5), "algorithm.gamma"),
        (lambda: OPSPOConfig(clip=0.1, others_clip=0.1), "algorithm.others_clip"),
        (lambda: CoPPOConfig(clip=0.1, others_clip=0.2), "algorithm.others_clip"),
        (lambda: MAPPOConfig(gae_lambda=1.01), "algorithm.gae_lambda"),
        (lambda: OPSPOConfig(trace_clip=0.0), "algorithm.trace_clip"),
        (lambda: OPSPOConfig(state_weight_min=2.0), "algorithm.state_weight_min"),
        (
            lambda: MAPPOConfig(state_weight="linear"),
            "state_weight must be none for simultaneous algorithms",
        ),
        (lambda: OPSPOConfig(state_weight="linear", critic="local"), "algorithm.critic is 'local'"),
        (
            lambda: TrainConfig(algorithm=OPSPOConfig(state_weight="minimax")),
            "stepwise_printed or linear where policy.share_parameters is on",
        ),
        (
            lambda: OPSPOConfig(gamma=1.0, density=DensityConfig(equation="discounted")),
            "algorithm.gamma must be below 1 where algorithm.density.equation",
        ),
        (lambda: DensityConfig(ridge=0.0), "algorithm.density.ridge"),
        (lambda: DensityConfig(iterations=0), "algorithm.density.iterations"),
        (lambda: OPSPOConfig(blocks=0), "algorithm.blocks"),
        (lambda: HAPPOConfig(critic_epochs=-1), "algorithm.critic_epochs must be at least 0"),
        (lambda: OPSPOConfig(critic_epochs=5), "algorithm.critic_epochs must be 0 where"),
        (
            lambda: HAPPOConfig(critic_epochs=5, value_target="printed"),
            "algorithm.critic_epochs must be 0 where",
        ),
        (
            lambda: HAPPOConfig(critic_epochs=5, extra_critic_passes=1),
            "algorithm.extra_critic_passes must be 0 where",
        ),
        (lambda: TrainConfig(algorithm=OPSPOConfig(minibatches=7)), "algorithm.minibatches"),
        (lambda: TrainConfig(algo="mappo"), "MAPPOConfig"),
        (
            lambda: TrainConfig(
                policy=PolicyConfig(recurrent=True), rollout=RolloutConfig(num_steps=15)
            ),
            "policy.chunk_length",
        ),
    ],
)
def test_bad_values_name_the_field(make, names):
    with pytest.raises(ConfigError, match=names.replace(".", r"\.")):
        make()


def test_unknown_algorithm_lists_what_exists_and_the_nearest():
    with pytest.raises(ConfigError, match=r"Did you mean 'opspo'\?.*mappo"):
        TrainConfig(algo="opsppo")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"seed"', '"sed"', "Did you mean 'seed'"),
        ('"num_envs"', '"num_env"', "Did you mean 'num_envs'"),
        ('"gamma": 0.99', '"gamma": "high"', "gamma"),
        ('"gamma": 0.99', '"gamma": 3.0', "in \\(0, 1\\]"),
        ('"algo": "opspo"', '"algo": "ppo"', "Unknown algorithm 'ppo'"),
        ("{", "", "cannot be read"),
    ],
)
def test_bad_json_is_a_clear_error(old, new, says):
    with pytest.raises(ConfigError, match=says):
        from_json(to_json(TrainConfig()).replace(old, new, 1))


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().seed = 1


def test_every_field_is_documented():
    """`--help` has a text for each setting, before its default."""
    for algo in ALGORITHMS:
        command = [sys.executable, "-m", "opspo", "train", "--algo", algo, "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        text = " ".join(shown.replace("│", " ").split())
        flags = re.findall(r"(--[\w.-]+(?:, --[\w.-]+)?) (\S+|\{[^}]*\}) (.*?)\(default: ", text)
        assert len(flags) > 30
        for flag, _, doc in flags:
            assert len(doc.split()) >= 3, flag


def test_config_imports_without_jax():
    code = "import sys, opspo.config, opspo.cli, opspo; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
