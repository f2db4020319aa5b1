"""Runs on several devices. A process counts its devices once, so these start others."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from small import small_config

from opspo import devices
from opspo.devices import WITHOUT_YNNPACK, claim, compiler_options
from opspo.environments import make_env
from opspo.errors import ConfigError
from opspo.run_folder import read_lines
from opspo.training.assembly import make_learner
from opspo.training.resuming import resume
from opspo.training.trainer import train

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def one_device():
    """JAX has counted before a test of this process asks for more."""
    assert len(jax.devices()) == 1


@pytest.mark.slow
def test_on_four_devices():
    flags = {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=4"}
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", str(HERE / "on_four_devices.py")],
        env=os.environ | flags,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout


@pytest.mark.slow
def test_a_run_on_two_devices_goes_on_with_one_and_back(tmp_path):
    flags = ["--env", "probe/credit", "--devices", "2", "--total-steps", "512", "--no-tensorboard"]
    flags += ["--rollout.num-envs", "8", "--rollout.num-steps", "16", "--policy.hidden-sizes", "16"]
    flags += ["--checkpoint.every-steps", "128", "--evaluation.final-episodes", "2"]
    command = [sys.executable, "-m", "opspo", "train", *flags, "--run-dir", str(tmp_path)]
    subprocess.run(command, check=True)
    whole = [row["episode_return"] for row in read_lines(tmp_path / "metrics.jsonl")]
    with pytest.raises(ConfigError, match="at most the 1 that JAX has"):
        resume(tmp_path, checkpoint=2)
    resume(tmp_path, checkpoint=2, devices=1)
    halved = [row["episode_return"] for row in read_lines(tmp_path / "metrics.jsonl")]
    assert len(halved) == 4 and halved == pytest.approx(whole, abs=1e-5)
    command = [sys.executable, "-m", "opspo", "resume", "--run-dir", str(tmp_path)]
    subprocess.run([*command, "--checkpoint", "3"], check=True)
    assert len(read_lines(tmp_path / "metrics.jsonl")) == 4


def test_devices_divide_the_environments():
    with pytest.raises(ConfigError, match=r"devices must be a divisor of .*num_envs = 16"):
        small_config("probe/credit", devices=3)


def test_too_late_for_more_devices_says_so():
    claim(1)
    with pytest.raises(ConfigError, match=r"JAX was in use before.*xla_force_host_platform"):
        claim(2)


def test_no_folder_is_made_for_devices_that_are_not_there(tmp_path):
    config = dataclasses.replace(small_config("probe/credit"), run_dir=str(tmp_path / "run"))
    with pytest.raises(ConfigError):
        train(dataclasses.replace(config, devices=2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_was_compiled_is_there_for_the_next_process(tmp_path):
    flags = ["--env", "probe/credit", "--total-steps", "64", "--no-tensorboard"]
    flags += ["--rollout.num-envs", "4", "--rollout.num-steps", "16", "--policy.hidden-sizes", "16"]
    flags += ["--algo", "mappo", "--evaluation.final-episodes", "0"]
    flags += ["--run-dir", str(tmp_path / "run"), "--overwrite"]
    caches = {"XDG_CACHE_HOME": str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    # as a user would have it, optimised to the full
    ours = ("JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS")
    environment = {k: v for k, v in os.environ.items() if k not in ours} | caches

    def programs():
        subprocess.run(
            [sys.executable, "-m", "opspo", "train", *flags], env=environment, check=True
        )
        return {path.name for path in (tmp_path / "opspo").glob("*-cache")}

    first = programs()
    assert any(name.startswith("jit_iterate") for name in first)
    assert programs() == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "recurrent", "shared"),
    [
        ("continuous", False, True),
        pytest.param("memory", True, False, marks=pytest.mark.full),
    ],
)
def test_what_the_compiler_optimises_comes_to_the_same(name, recurrent, shared):
    """The other tests compile quickly, users to the full."""
    config = small_config(f"probe/{name}", recurrent=recurrent, shared=shared)
    learner = make_learner(config, make_env(config.env))
    state = jax.jit(learner.init, static_argnums=0)(0)
    full = compiler_options() | {
        "xla_backend_optimization_level": 3,
        "xla_cpu_use_fusion_emitters": True,
    }
    quick, optimised = (
        jax.jit(learner.iterate, compiler_options=options)(state) for options in ({}, full)
    )
    for one, other in zip(jax.tree.leaves(quick), jax.tree.leaves(optimised), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_compiler_does_without_its_library():
    assert compiler_options() == WITHOUT_YNNPACK


def test_an_option_that_the_compiler_does_not_know_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(devices, "WITHOUT_YNNPACK", {"xla_cpu_no_such_option": ""})
    assert compiler_options() == {}
