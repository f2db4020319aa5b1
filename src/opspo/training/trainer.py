"""Starting runs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import jax
from rich.console import Console

from opspo.config import Processes, TrainConfig
from opspo.devices import claim
from opspo.environments import make_env
from opspo.environments.base import Environment, runs_on_host
from opspo.environments.checks.first import sound
from opspo.environments.entry import as_made
from opspo.environments.identity import store_spec
from opspo.errors import ConfigError, RunError
from opspo.policies.team import check_inputs
from opspo.run_folder import check_free, create, hold, replace_text
from opspo.training.assembly import (
    OwnAlgorithm,
    check_own_algorithm,
    make_learner,
    with_algorithm,
)
from opspo.training.beginning import beginning
from opspo.training.learner import Learner
from opspo.training.loop import Result, Training
from opspo.training.multiprocess import all_or_none, check_engine, own_folder
from opspo.training.recorder import Recorder
from opspo.training.signals import stop_flag
from opspo.training.transfer import Transfer, read_source, transfer

WhichCheckpoint = int | Literal["latest", "best"]


@dataclasses.dataclass(frozen=True)
class _Start:
    """What a run starts with besides its settings."""

    environment: Environment | None
    algorithm: OwnAlgorithm | None
    init_from: str | Path | None
    init_checkpoint: WhichCheckpoint
    overwrite: bool


def train(
    config: TrainConfig,
    *,
    environment: Environment | None = None,
    algorithm: OwnAlgorithm | None = None,
    init_from: str | Path | None = None,
    init_checkpoint: WhichCheckpoint = "latest",
    overwrite: bool = False,
    console: Console | None = None,
    processes: Processes | None = None,
) -> Result:
    """Train from the start.

    Args:
        config: the settings.
        environment: one of your own, in place of that of the config's id; `config.env` is then no
            more than its name.
        algorithm: one of your own, in place of the config's: a declaration, or a function from the
            run's networks to an `Algorithm` (docs/algorithms/own.md).
        init_from: folder of a run whose parameters this one starts from, wherever they fit
            (`transfer` has the rules).
        init_checkpoint: of that run.
        overwrite: replace the run folder if it exists.
        console: where progress is shown.
        processes: this process's place among several that all call this with the same config and
            divide its devices between them.

    Raises:
        ConfigError: the environment or a setting does not exist. Nothing is written.
        RunError: the run folder exists, or cannot be written; or nothing of `init_from` fits.
        TrainingError: a reward, loss or parameter is not finite, or the environment raised.
        Interrupted: by Ctrl-C or SIGTERM.
    """
    config = with_algorithm(config, algorithm)
    start = _Start(environment, algorithm, init_from, init_checkpoint, overwrite)
    folder = config.folder
    with own_folder(folder, processes) as path:
        if path != folder:
            config = dataclasses.replace(config, run_dir=str(path))
        result = _train([config], config.devices, start, console, processes)[0]
    return dataclasses.replace(result, run_dir=folder)


def train_seeds(
    config: TrainConfig,
    seeds: Sequence[int],
    *,
    environment: Environment | None = None,
    algorithm: OwnAlgorithm | None = None,
    init_from: str | Path | None = None,
    init_checkpoint: WhichCheckpoint = "latest",
    overwrite: bool = False,
    console: Console | None = None,
) -> list[Result]:
    """Train a run for each seed, all in one program, each in a folder of its own.

    `config.devices` divides the seeds. A seed's folder holds what `train` would have put there, and
    resumes by itself. The other arguments are those of `train`.

    Raises:
        ConfigError, RunError, TrainingError, Interrupted: as `train`. Where one seed fails, all
            stop, and are saved.
    """
    if len(set(seeds)) < len(seeds) or not seeds or len(seeds) % config.devices:
        raise ConfigError(
            f"seeds must be different, and as many as a multiple of devices = {config.devices}, "
            f"but are {', '.join(map(str, seeds))}."
        )
    config = with_algorithm(config, algorithm)
    configs = [_of_seed(config, seed) for seed in seeds]
    devices = config.devices if len(seeds) > 1 else 1
    start = _Start(environment, algorithm, init_from, init_checkpoint, overwrite)
    return _train(configs, devices, start, console)


def _of_seed(config: TrainConfig, seed: int) -> TrainConfig:
    run_dir = str(Path(config.run_dir) / f"seed{seed}") if config.run_dir else ""
    return dataclasses.replace(config, seed=seed, devices=1, run_dir=run_dir)


def _train(
    configs: Sequence[TrainConfig],
    devices: int,
    start: _Start,
    console: Console | None,
    processes: Processes | None = None,
) -> list[Result]:
    """Runs that differ in seed and folder alone, from their start."""
    console = console or Console()
    with stop_flag() as stopped, ExitStack() as held:
        claim(devices, processes)
        shared = dataclasses.replace(configs[0], devices=devices)
        environment = sound(start.environment or make_env(shared.env))
        learner = make_learner(shared, environment, start.algorithm)
        check_inputs(shared, learner.environment.spec)
        if len(configs) > 1 and runs_on_host(learner.environment):
            raise ConfigError(
                f"{shared.env} is not simulated in JAX, so its seeds cannot share a program: "
                "train them one at a time, with --seed."
            )
        check_engine(learner.environment, shared.env, processes)
        check_own_algorithm(learner)
        with all_or_none():
            for config in configs:
                check_free(config, overwrite=start.overwrite)
            taken = _taken(learner, configs, start)
            folders = [create(config, overwrite=start.overwrite) for config in configs]
            for folder in folders:
                store_spec(folder, as_made(learner.environment).spec)
                held.enter_context(hold(folder))
        with beginning("Nothing is learned yet: fix that, and train again with --overwrite."):
            init = jax.jit(learner.init)  # the seed as an argument: compiled once for all
            # what a callback raises would otherwise come later, and elsewhere
            states = jax.block_until_ready([init(config.seed) for config in configs])
        if taken is not None:
            console.print(str(taken), markup=False, highlight=False)
            for folder in folders:
                replace_text(folder.init, json.dumps(taken.record(), indent=2) + "\n")
            states = [taken.apply(state) for state in states]
        members = [Recorder(*each) for each in zip(configs, folders, strict=True)]
        return Training(learner, members, console, stopped).go(states)


def _taken(learner: Learner, configs: Sequence[TrainConfig], start: _Start) -> Transfer | None:
    """What runs that start from another take from it, before anything is written or replaced."""
    if start.init_from is None:
        return None
    for config in configs:
        if config.folder.resolve() == Path(start.init_from).resolve():
            raise RunError(
                f"{config.folder} would replace the run that it is to start from. Choose another "
                "folder with --run-dir."
            )
    return transfer(read_source(start.init_from, start.init_checkpoint), learner)
