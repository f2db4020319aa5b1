"""Runs of several processes, here on one machine."""

import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from opspo.checkpoint import Checkpoints
from opspo.config import Processes, parse_processes
from opspo.devices import claim
from opspo.errors import ConfigError
from opspo.run_folder import read_lines

FLAGS = ["--env", "probe/memory", "--devices", "2", "--no-tensorboard"]
FLAGS += ["--rollout.num-envs", "8", "--rollout.num-steps", "16", "--policy.hidden-sizes", "16"]
FLAGS += ["--policy.recurrent", "--policy.chunk-length", "8", "--algorithm.minibatches", "2"]
FLAGS += ["--checkpoint.every-steps", "128", "--evaluation.final-episodes", "2"]


def start(*arguments):
    """A command of ours."""
    command = [sys.executable, "-m", "opspo", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def start_both(*arguments):
    """It on two hosts."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"localhost:{free.getsockname()[1]}"
    return [start(*arguments, "--hosts", f"{coordinator},2,{i}") for i in range(2)]


def end(processes):
    """What they complained of, and how they went out."""
    said = [process.communicate(timeout=300)[1] for process in processes]
    return said, [process.returncode for process in processes]


def returns(run_dir):
    return [row["episode_return"] for row in read_lines(run_dir / "metrics.jsonl")]


def arrays(run_dir, iteration):
    """A checkpoint's, by name."""
    checkpoints = Checkpoints(run_dir / "checkpoints")
    flat = checkpoints._manager.restore(iteration)
    checkpoints.close()
    return flat


@pytest.mark.slow
def test_two_hosts_come_to_what_one_with_two_devices_does(tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    flags = [*FLAGS, "--total-steps", "512"]
    both = start_both("train", *flags, "--run-dir", together)
    said, codes = end([start("train", *flags, "--run-dir", alone), *both])
    assert codes == [0, 0, 0], said
    expected = returns(alone)
    assert len(expected) == 4 and returns(together) == pytest.approx(expected, abs=1e-5)
    first, second = arrays(alone, 4), arrays(together, 4)
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_allclose(second[name], array, rtol=1e-5, atol=1e-5, err_msg=name)
    evaluations = [read_lines(path / "evaluations.jsonl") for path in (alone, together)]
    assert len(evaluations[0]) == len(evaluations[1]) == 1

    said, codes = end(start_both("resume", "--run-dir", together, "--checkpoint", 2))
    assert codes == [0, 0], said
    assert returns(together) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_asking_one_host_to_stop_stops_both_and_saves(tmp_path):
    flags = [*FLAGS, "--total-steps", 128 * 10**6, "--run-dir", tmp_path / "run"]
    both = start_both("train", *flags)
    deadline = time.monotonic() + 200
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.is_file() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.5)
    both[1].send_signal(signal.SIGTERM)
    said, codes = end(both)
    assert codes == [130, 130], said
    assert "opspo resume --run-dir" in said[0] and "with the first process" in said[1]
    done = len(returns(tmp_path / "run"))
    assert done > 0 and Checkpoints(tmp_path / "run" / "checkpoints").iterations()[-1] == done


@pytest.mark.slow
def test_a_host_that_cannot_begin_keeps_no_other_waiting(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    said, codes = end(start_both("train", *FLAGS, "--run-dir", tmp_path / "run"))
    assert codes[0] == codes[1] != 0, said
    assert "--overwrite" in said[0] and "Another process could not use" in said[1]


def test_devices_are_parted_equally_among_hosts():
    with pytest.raises(ConfigError, match="a multiple of the 2 processes, but is 3"):
        claim(3, Processes("localhost:1", 2, 0))


def test_hosts_are_read():
    assert parse_processes("10.0.0.1:9000,2,1") == Processes("10.0.0.1:9000", 2, 1)
    assert parse_processes("") is None


@pytest.mark.parametrize(
    "text", ["10.0.0.1,2,0", "10.0.0.1:9000,2", "10.0.0.1:9000,2,2", "a:1,0,0"]
)
def test_bad_hosts_are_told_the_form(text):
    with pytest.raises(ConfigError, match=r"like 10\.0\.0\.1:9000,2,0, but is"):
        parse_processes(text)


@pytest.mark.slow
def test_hosts_do_not_share_what_cannot_be_divided(tmp_path):
    both = start_both(
        "train",
        "--env",
        "pettingzoo/mpe2.simple_spread_v3",
        "--devices",
        "2",
        "--run-dir",
        tmp_path / "run",
    )
    said, codes = end(both)
    assert codes == [2, 2], said
    assert all("cannot be divided over processes" in each for each in said)
    assert not (tmp_path / "run").exists()
