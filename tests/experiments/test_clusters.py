"""Studies on Ray and on SLURM: a lost node, the end of an allocation, and what is not there."""

import logging
import os
import signal
import sys
import threading
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from rich.console import Console
from small_study import TEXT, study_at

from opspo.cli import main
from opspo.errors import ConfigError, Interrupted
from opspo.experiments import job as job_module
from opspo.experiments import slurm
from opspo.experiments.cluster import Cluster, carry_out
from opspo.experiments.grid import folder_of, runs_of
from opspo.experiments.plan import STOPPED, Places, jobs_of
from opspo.experiments.records import path_of, same_but_for_times
from opspo.experiments.slurm import queue, wait_for
from opspo.run_folder import read_lines

pytestmark = pytest.mark.slow

ONE = TEXT.replace('"probe/credit", "probe/memory"', '"probe/credit"')
ONE = ONE.replace('"mappo", "opspo"', '"mappo"').replace('"0..1"', "[0]")
LONG = ONE.replace("steps = 512", "steps = 51_200").replace("times = 2", "times = 20")


def study(folder, text):
    """A study with its jobs, and where its files go."""
    folder.mkdir(exist_ok=True)
    file, where = study_at(folder, text), Places(folder / "runs", folder / "results")
    return runs_of(file), jobs_of(file, runs_of(file), where), where


def whole(folder, text):
    """The records of a study that ran here without a stop."""
    runs, jobs, where = study(folder, text)
    for job in jobs:
        assert job_module.main(job.command()[3:]) == 0
    return [path_of(run, where.results) for run in runs]


def rows_of(run, where):
    return read_lines(folder_of(run, where.runs) / "metrics.jsonl")


def wait_until(condition, seconds=180):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def submitit(monkeypatch):
    """At its import it closes all handlers of logging, among them those of pytest."""
    with monkeypatch.context() as patch:
        patch.setattr(logging, "_handlerList", [])
        patch.setattr(logging, "_handlers", {})
        return pytest.importorskip("submitit")


@pytest.mark.full
@pytest.mark.usefixtures("submitit")
def test_a_job_that_slurm_interrupts_is_queued_again_and_ends_the_same(tmp_path):
    """By submitit's local executor, which sends the same signal."""
    expected = whole(tmp_path / "whole", LONG)
    runs, jobs, where = study(tmp_path / "queued", LONG)
    (queued,) = queue(jobs, minutes=10, cluster="local")
    wait_until(lambda: len(rows_of(runs[0], where)) > 40)
    # to the task itself, as SLURM does before the end of an allocation
    controller = queued._process.pid
    (task,) = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
    os.kill(int(task), signal.SIGUSR2)
    assert wait_for(jobs, [queued], Console(quiet=True)) == []
    log = "".join(path.read_text() for path in (where.runs / "small" / "slurm").glob("*_log.out"))
    assert "Calling checkpoint method" in log and "Requeued job" in log
    assert same_but_for_times(expected[0], path_of(runs[0], where.results))


def test_without_slurm_or_ray_it_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = study_at(tmp_path, ONE)
    monkeypatch.setenv("PATH", str(tmp_path))
    for flags, told in (
        (["--slurm"], "no `sbatch` here"),
        (["--slurm", "--ray", "auto"], "--ray and --slurm both say where to run"),
        (["--workers", "0"], "--workers must be at least 1"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["study", "run", str(file.path), *flags])
        assert stop.value.code == 2 and told in capsys.readouterr().err


def test_a_ray_cluster_that_cannot_be_reached_is_told():
    with pytest.raises(ConfigError, match=r"no Ray cluster can be reached there"):
        Cluster("127.0.0.1:1", cpus=1).__enter__()


@pytest.mark.full
def test_a_study_on_ray_loses_nothing_with_a_node(tmp_path):
    """Two nodes; the one that trains is removed, and the other goes on from its checkpoint."""
    ray_cluster = pytest.importorskip("ray.cluster_utils")
    import ray

    expected = whole(tmp_path / "whole", LONG)
    runs, jobs, where = study(tmp_path / "cluster", LONG)
    nodes = ray_cluster.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    first = nodes.add_node(num_cpus=1)
    try:
        with Cluster(nodes.address, cpus=1) as cluster:
            found = {}
            thread = threading.Thread(
                target=lambda: found.update(status=cluster.carry(jobs[0])), daemon=True
            )
            thread.start()
            wait_until(lambda: len(rows_of(runs[0], where)) > 40)
            nodes.add_node(num_cpus=1)
            nodes.remove_node(first, allow_graceful=False)
            thread.join(timeout=240)
            assert found == {"status": 0}
    finally:
        ray.shutdown()
        nodes.shutdown()
    assert same_but_for_times(expected[0], path_of(runs[0], where.results))


@pytest.mark.full
def test_the_command_runs_jobs_on_ray_from_another_folder(tmp_path, monkeypatch, capsys):
    """Two at a time, with relative paths, on a cluster that was started elsewhere."""
    ray_cluster = pytest.importorskip("ray.cluster_utils")
    (there := tmp_path / "there").mkdir()
    monkeypatch.chdir(there)
    nodes = ray_cluster.Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        monkeypatch.chdir(tmp_path)
        study_at(tmp_path, ONE.replace("[0]", "[0, 1]"))
        main(["study", "run", "small.toml", "--ray", nodes.address])
    finally:
        nodes.shutdown()
    assert "2 of 2 runs are finished" in capsys.readouterr().out
    assert len(list((tmp_path / "results").rglob("*.json.gz"))) == 2
    assert list(there.iterdir()) == []


def on_ray(monkeypatch, **parts):
    """A Ray without a cluster."""
    (ray := ModuleType("ray")).exceptions = SimpleNamespace(
        TaskCancelledError=KeyError, RayError=OSError
    )
    for name, part in parts.items():
        setattr(ray, name, part)
    monkeypatch.setitem(sys.modules, "ray", ray)


def test_a_job_that_is_killed_on_ray_has_not_failed(tmp_path, monkeypatch):
    """Ray reports the worker's death as an error of its own."""
    _, (job,), _ = study(tmp_path, ONE)
    cluster, forced = Cluster("", cpus=1), []

    def get(reference):
        cluster.kill()
        raise OSError("the worker died")

    remote = lambda **_: lambda _: SimpleNamespace(remote=lambda *_: "reference")  # noqa: E731
    cancel = lambda reference, force: forced.append((reference, force))  # noqa: E731
    on_ray(monkeypatch, remote=remote, get=get, cancel=cancel)
    assert cluster.carry(job) == STOPPED and forced == [("reference", True)]
    assert cluster.carry(job) == STOPPED and len(forced) == 1  # it starts no others


def test_a_job_that_ray_lost_has_failed(tmp_path, monkeypatch):
    _, (job,), _ = study(tmp_path, ONE)
    given = []

    def get(reference):
        raise OSError("the node died")

    def submit(command, log, cpus):
        given.extend([log, cpus, *command])

    on_ray(monkeypatch, remote=lambda **_: lambda _: SimpleNamespace(remote=submit), get=get)
    monkeypatch.chdir(tmp_path)
    relative = replace(job, places=Places(Path("runs"), Path("results")))
    assert Cluster("", cpus=3).carry(relative) == 1
    assert "the node died" in job.log.read_text()
    assert given[:2] == [str(job.log), 3] and str(job.places.results) in given


def test_jobs_on_one_node_of_ray_share_its_cores(tmp_path):
    """Ray says how many cores a job has, not which: the operating system places its threads."""
    log = tmp_path / "log"
    script = "import os; print(len(os.sched_getaffinity(0)), os.environ['PJRT_NPROC'])"
    assert carry_out(["-c", script], str(log), cpus=1) == 0
    assert log.read_text().split() == [str(len(os.sched_getaffinity(0))), "1"]


class Executor:
    """Of submitit, without SLURM."""

    def __init__(self, *results):
        self.results = list(results)
        self.parameters, self.submitted = {}, []

    def update_parameters(self, **parameters):
        self.parameters = parameters

    def batch(self):
        return nullcontext()

    def submit(self, queued):
        self.submitted.append(queued)
        return SimpleNamespace(result=self.results.pop(0), job_id="17_0")


def interrupted():
    raise KeyboardInterrupt


def test_slurm_runs_as_many_as_it_can_and_a_stopped_job_is_not_finished(tmp_path, monkeypatch):
    _, jobs, _ = study(tmp_path, ONE.replace("[0]", "[0, 1, 2]"))
    for given, expected in ((0, 3), (2, 2)):
        executor = Executor(lambda: 0, lambda: STOPPED, lambda: 1)
        monkeypatch.setattr(slurm, "_executor", lambda *_, found=executor: found)
        queued = queue(jobs, minutes=1, cpus=4, at_a_time=given)
        assert executor.parameters["slurm_array_parallelism"] == expected
        assert {each.cpus for each in executor.submitted} == {4}
        assert wait_for(jobs, queued, Console(quiet=True)) == jobs[1:]


def test_ctrl_c_leaves_the_jobs_of_slurm_in_the_queue(tmp_path, monkeypatch):
    _, jobs, _ = study(tmp_path, ONE)
    monkeypatch.setattr(slurm, "_executor", lambda *_: Executor(interrupted))
    queued = queue(jobs, minutes=1)
    with pytest.raises(Interrupted, match="`scancel 17`"):
        wait_for(jobs, queued, Console(quiet=True))
