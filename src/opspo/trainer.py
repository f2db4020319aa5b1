"""Starting a run, going on with one, and playing what it learnt."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from opspo.checkpoint import Checkpoints
from opspo.config import ConfigError, Hosts, TrainConfig
from opspo.devices import all_agree, claim
from opspo.environments import make_env
from opspo.environments.base import Environment, runs_on_host
from opspo.environments.entry import as_made, entered
from opspo.evaluate import Evaluation, make_evaluator
from opspo.learner import make_learner
from opspo.loop import Interrupted, Result, Training
from opspo.member import Member, TrainingError
from opspo.policies.team import check_inputs
from opspo.policy import load_policy
from opspo.runs import RunError, RunFolder, check_free, create, cut_lines, hold, open_run
from opspo.stopping import stop_flag

__all__ = [
    "Interrupted",
    "Result",
    "TrainingError",
    "evaluate_run",
    "resume",
    "train",
    "train_seeds",
]


def train(
    config: TrainConfig,
    *,
    environment: Environment | None = None,
    overwrite: bool = False,
    console: Console | None = None,
    hosts: Hosts | None = None,
) -> Result:
    """Train from the start, on the environment of the config's id or on one of your own.

    With your own, `config.env` is no more than its name. With `hosts` this is one of several
    processes that all call it with the same config and divide its devices between them.

    Raises:
        ConfigError: the environment or a setting does not exist. Nothing is written.
        RunError: the run folder exists, or cannot be written.
        TrainingError: a reward, loss or parameter is not finite.
        Interrupted: by Ctrl-C or SIGTERM.
    """
    folder = config.folder
    with _own_folder(folder, hosts) as path:
        if path != folder:
            config = dataclasses.replace(config, run_dir=str(path))
        result = _train([config], config.devices, environment, overwrite, console, hosts)[0]
    return dataclasses.replace(result, run_dir=folder)


def train_seeds(
    config: TrainConfig,
    seeds: Sequence[int],
    *,
    environment: Environment | None = None,
    overwrite: bool = False,
    console: Console | None = None,
) -> list[Result]:
    """Train a run for each seed, all in one program, each in a folder of its own.

    `config.devices` divides the seeds. What is in a seed's folder is what `train` would have put
    there, and resumes by itself.

    Raises:
        ConfigError, RunError, TrainingError, Interrupted: as `train`. Where one seed fails, all
            stop, and are saved.
    """
    if len(set(seeds)) < len(seeds) or not seeds or len(seeds) % config.devices:
        raise ConfigError(
            f"seeds must be different, and as many as a multiple of devices = {config.devices}, "
            f"but are {', '.join(map(str, seeds))}."
        )
    configs = [_of_seed(config, seed) for seed in seeds]
    if len(seeds) == 1:
        return [train(configs[0], environment=environment, overwrite=overwrite, console=console)]
    return _train(configs, config.devices, environment, overwrite, console)


def _of_seed(config: TrainConfig, seed: int) -> TrainConfig:
    run_dir = str(Path(config.run_dir) / f"seed{seed}") if config.run_dir else ""
    return dataclasses.replace(config, seed=seed, devices=1, run_dir=run_dir)


def _train(
    configs: Sequence[TrainConfig],
    devices: int,
    environment: Environment | None,
    overwrite: bool,
    console: Console | None,
    hosts: Hosts | None = None,
) -> list[Result]:
    """Runs that differ in seed and folder alone, from their start."""
    with stop_flag() as stopped, ExitStack() as held:
        claim(devices, hosts)
        shared = dataclasses.replace(configs[0], devices=devices)
        learner = make_learner(shared, environment or make_env(shared.env))
        check_inputs(shared, learner.environment.spec)
        if len(configs) > 1 and runs_on_host(learner.environment):
            raise ConfigError(
                f"{shared.env} is not simulated in JAX, so its seeds cannot share a program: "
                "train them one at a time, with --seed."
            )
        _check_engine(learner.environment, shared.env, hosts)
        with _all_or_none():
            for config in configs:
                check_free(config, overwrite=overwrite)
            folders = [create(config, overwrite=overwrite) for config in configs]
            spec = dataclasses.asdict(as_made(learner.environment).spec)
            for folder in folders:
                folder.environment.write_text(json.dumps(spec, indent=2) + "\n")
                held.enter_context(hold(folder))
        init = jax.jit(learner.init)  # the seed as an argument: compiled once for all
        states = [init(config.seed) for config in configs]
        members = [Member(*each) for each in zip(configs, folders, strict=True)]
        return Training(learner, members, console or Console(), stopped).go(states)


def resume(
    run_dir: str | Path,
    *,
    environment: Environment | None = None,
    checkpoint: int | None = None,
    devices: int | None = None,
    console: Console | None = None,
    hosts: Hosts | None = None,
) -> Result:
    """Go on from a checkpoint, by default the latest, exactly as if there had been no stop.

    Engines outside of JAX are not part of a checkpoint: there, new episodes begin. A run on an
    `environment` of your own has to be given it again. On another number of `devices` sums are
    added up in another order, so that the run is the same only up to rounding. With `hosts`, as
    `train`; all of them have to see the folder.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read.
        TrainingError, Interrupted: as `train`.
    """
    folder, config = open_run(run_dir)
    whole = folder
    if devices is not None:
        config = dataclasses.replace(config, devices=devices)
    with _own_folder(folder.path, hosts) as path, stop_flag() as stopped, ExitStack() as held:
        claim(config.devices, hosts)
        with _all_or_none():  # no checkpoint is taken away before all have their copy
            if path != folder.path:
                shutil.copytree(folder.path, path)
                folder, config = RunFolder(path), dataclasses.replace(config, run_dir=str(path))
            held.enter_context(hold(folder))
        learner = make_learner(config, environment or make_env(config.env))
        _check_engine(learner.environment, config.env, hosts)
        checkpoints = Checkpoints(folder.checkpoints)
        found = checkpoints.iterations()
        if not found and checkpoint is None:
            raise RunError(
                f"{folder.path} has no checkpoint to go on from. Start again with `opspo train "
                f"--from-config {folder.config}`, --overwrite, and the same --run-dir."
            )
        iteration = found[-1] if checkpoint is None else checkpoint
        template = jax.eval_shape(learner.init, config.seed)
        state = checkpoints.restore(iteration, template)
        checkpoints.delete_after(iteration)
        checkpoints.close()
        cut_lines(folder.metrics, last_iteration=iteration)
        cut_lines(folder.evaluations, last_iteration=iteration)
        training = Training(learner, [Member(config, folder)], console or Console(), stopped)
        result = training.go([state])[0]
    return dataclasses.replace(result, run_dir=whole.path)


@contextmanager
def _own_folder(run: Path, hosts: Hosts | None) -> Iterator[Path]:
    """Where this process writes: the run's folder, or, of several hosts, for all but the first
    one that is thrown away. So each can work as if it were alone."""
    if hosts is None or hosts.index == 0:
        yield run
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            yield Path(scratch) / "run"
        except (Interrupted, TrainingError) as error:
            # the paths that it names are those of the scratch folder
            raise type(error)("Stopped like the first host, which has the run.") from error


@contextmanager
def _all_or_none() -> Iterator[None]:
    """What one host cannot do stops the others too, which would wait for it.

    Raises:
        RunError: another host has failed.
    """
    try:
        yield
    except Exception:
        all_agree(False)
        raise
    if not all_agree(True):
        raise RunError("Another host could not begin with the run's folder; it says why.")


def _check_engine(environment: Environment, name: str, hosts: Hosts | None) -> None:
    if hosts and runs_on_host(environment):
        raise ConfigError(
            f"{name} is not simulated in JAX, so it cannot be divided over hosts: train on one, "
            "without --hosts."
        )


def evaluate_run(
    run_dir: str | Path,
    *,
    episodes: int,
    seed: int,
    greedy: bool = True,
    checkpoint: Any = "latest",
) -> Evaluation:
    """Play episodes with the policy of a run.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read.
    """
    _, config = open_run(run_dir)
    policy = load_policy(run_dir, checkpoint=checkpoint)
    evaluator = make_evaluator(
        entered(make_env(config.env), agent_id=config.policy.appends_agent_id),
        policy.team,
        episodes=episodes,
        greedy=greedy,
        episode_limit=config.evaluation.episode_limit,
    )
    return evaluator(policy.params, seed)
