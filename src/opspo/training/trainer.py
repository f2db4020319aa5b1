"""Starting a run, going on with one, and playing what it learnt."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

import jax
from rich.console import Console

from opspo.checkpoint import Checkpoints
from opspo.config import Processes, TrainConfig
from opspo.devices import claim
from opspo.environments import make_env
from opspo.environments.base import Environment, runs_on_host
from opspo.environments.checks.first import sound
from opspo.environments.entry import as_made, entered, in_its_words
from opspo.environments.frames import told
from opspo.environments.identity import store_spec
from opspo.errors import ConfigError, Interrupted, RunError, TrainingError
from opspo.evaluate import Evaluation, make_evaluator
from opspo.policies.team import check_inputs
from opspo.policy import load_policy
from opspo.run_folder import RunFolder, check_free, create, cut_lines, hold, open_run, replace_text
from opspo.training.assembly import make_learner
from opspo.training.learner import Learner
from opspo.training.loop import Result, Training
from opspo.training.multiprocess import all_or_none, check_engine, own_folder
from opspo.training.recorder import Member
from opspo.training.resuming import (
    check_environment,
    extended,
    iteration_to_go_on_from,
    note_extension,
)
from opspo.training.signals import stop_flag
from opspo.training.transfer import Transfer, read_source, transfer
from opspo.types import TrainState

__all__ = [
    "Interrupted",
    "Result",
    "TrainingError",
    "evaluate_run",
    "resume",
    "train",
    "train_seeds",
]

WhichCheckpoint = int | Literal["latest", "best"]


@dataclasses.dataclass(frozen=True)
class _Start:
    """What a run starts with besides its settings."""

    environment: Environment | None
    init_from: str | Path | None
    init_checkpoint: WhichCheckpoint
    overwrite: bool


def train(
    config: TrainConfig,
    *,
    environment: Environment | None = None,
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
    folder, start = config.folder, _Start(environment, init_from, init_checkpoint, overwrite)
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
    init_from: str | Path | None = None,
    init_checkpoint: WhichCheckpoint = "latest",
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
    devices = config.devices if len(seeds) > 1 else 1
    start = _Start(environment, init_from, init_checkpoint, overwrite)
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
        learner = make_learner(shared, sound(start.environment or make_env(shared.env)))
        check_inputs(shared, learner.environment.spec)
        if len(configs) > 1 and runs_on_host(learner.environment):
            raise ConfigError(
                f"{shared.env} is not simulated in JAX, so its seeds cannot share a program: "
                "train them one at a time, with --seed."
            )
        check_engine(learner.environment, shared.env, processes)
        with all_or_none():
            for config in configs:
                check_free(config, overwrite=start.overwrite)
            taken = _taken(learner, configs, start)
            folders = [create(config, overwrite=start.overwrite) for config in configs]
            for folder in folders:
                store_spec(folder, as_made(learner.environment).spec)
                held.enter_context(hold(folder))
        with _beginning("Nothing is learned yet: fix that, and train again with --overwrite."):
            init = jax.jit(learner.init)  # the seed as an argument: compiled once for all
            # what a callback raises would otherwise come later, and elsewhere
            states = jax.block_until_ready([init(config.seed) for config in configs])
        if taken is not None:
            console.print(str(taken), markup=False, highlight=False)
            for folder in folders:
                replace_text(folder.init, json.dumps(taken.record(), indent=2) + "\n")
            states = [taken.apply(state) for state in states]
        members = [Member(*each) for each in zip(configs, folders, strict=True)]
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


@contextmanager
def _beginning(then: str) -> Iterator[None]:
    """What an environment raises before there is anything to save is told in its own frames."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise TrainingError(f"The run could not begin.\n{told(error)}\n{then}") from error


def resume(
    run_dir: str | Path,
    *,
    environment: Environment | None = None,
    checkpoint: int | None = None,
    devices: int | None = None,
    total_steps: int | None = None,
    console: Console | None = None,
    processes: Processes | None = None,
) -> Result:
    """Continue from a checkpoint, exactly as if the run had not stopped.

    Engines outside of JAX are not part of a checkpoint: there, new episodes begin.

    Args:
        run_dir: the run's folder.
        environment: needed again by a run on an environment of your own.
        checkpoint: an iteration; by default the latest.
        devices: another number than before. Sums are then added up in another order, so that the
            run is the same only up to rounding.
        total_steps: another end than before (`resuming` has the rules).
        console: where progress is shown.
        processes: as in `train`; all of them have to see the folder.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read; the environment or the
            settings are no longer those that it was trained with; or more than `total_steps` are
            done.
        TrainingError, Interrupted: as `train`.
    """
    folder, config = open_run(run_dir)
    whole, console = folder, console or Console()
    if devices is not None:
        config = dataclasses.replace(config, devices=devices)
    with own_folder(folder.path, processes) as path, stop_flag() as stopped, ExitStack() as held:
        claim(config.devices, processes)
        with all_or_none():  # no checkpoint is taken away before all have their copy
            if path != folder.path:
                shutil.copytree(folder.path, path)
                folder, config = RunFolder(path), dataclasses.replace(config, run_dir=str(path))
            held.enter_context(hold(folder))
        iteration = iteration_to_go_on_from(folder, checkpoint)
        before, config = config, extended(config, total_steps, iteration=iteration)
        learner = make_learner(config, environment or make_env(config.env))
        check_engine(learner.environment, config.env, processes)
        check_environment(folder, as_made(learner.environment), console)
        state = _restored(folder, learner, iteration)
        note_extension(folder, before, config, iteration=iteration, console=console)
        training = Training(learner, [Member(config, folder)], console, stopped)
        result = training.go([state])[0]
    return dataclasses.replace(result, run_dir=whole.path)


def _restored(folder: RunFolder, learner: Learner, iteration: int) -> TrainState:
    """The state of a checkpoint; what came after it is dropped."""
    with _beginning("Nothing is changed: fix that, and resume again."):
        template = jax.eval_shape(learner.init, learner.config.seed)
    checkpoints = Checkpoints(folder.checkpoints, config=learner.config)
    state: TrainState = checkpoints.restore(iteration, template)
    checkpoints.delete_after(iteration)
    checkpoints.close()
    for lines in (folder.metrics, folder.evaluations):
        cut_lines(lines, last_iteration=iteration)
    return state


def evaluate_run(
    run_dir: str | Path,
    *,
    episodes: int,
    seed: int,
    greedy: bool = True,
    checkpoint: Any = "latest",
    environment: Environment | None = None,
) -> Evaluation:
    """Play episodes with the policy of a run.

    A run on an `environment` of your own has to be given it again.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read; or the environment is
            not the one that it was trained for.
        EngineError: the environment raised; the message is its own traceback.
    """
    _, config = open_run(run_dir)
    scene = environment or make_env(config.env)
    policy = load_policy(run_dir, checkpoint=checkpoint, environment=scene)
    evaluator = make_evaluator(
        entered(scene, agent_id=config.policy.appends_agent_id),
        policy.team,
        episodes=episodes,
        greedy=greedy,
        episode_limit=config.evaluation.episode_limit,
    )
    with in_its_words("An episode failed."):
        return evaluator(policy.params, seed)
