"""`opspo train`: a run from its start."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from opspo.config import TrainConfig, parse_checkpoint, parse_processes, parse_seeds
from opspo.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class _Train:
    """Train, by default OPSPO on SMAX 3m. Every setting is a flag."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str = "default"
    """Start from these settings: `default`, `paper` (Tables 2 to 4), or `literal` (OPSPO as
    printed). Other flags override them."""
    variant: str = ""
    """Change the settings after all other flags. `equal_steps`: give a simultaneous algorithm as
    many gradient steps as a sequential one takes at the same `algorithm.epochs`. It starts from
    the epochs and extra critic passes that are set, and prints what it changes."""
    from_config: str = ""
    """Start from the settings in this config.json. Other flags override them."""
    init_from: str = ""
    """Start from the parameters of the run in this folder, wherever they fit: it may be on another
    map, or with another algorithm or seed. What fits is printed, and recorded in init.json."""
    init_checkpoint: str = "latest"
    """Which checkpoint of that run: `latest`, `best`, or an iteration."""
    seeds: str = ""
    """Train one run for each of these seeds in one program: `0..7` or `0,3,5`. `devices` then
    divides the seeds. Each run has its own folder, seed<seed> in run_dir."""
    processes: str = ""
    """Train one run in several processes, usually one per machine: address:port of the first, how
    many there are, and which of them this is (from 0), like `10.0.0.1:9000,2,0`. Run the same
    command for each; `devices` counts the devices of all."""
    overwrite: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Replace the run folder if it exists."""


def command(arguments: Sequence[str]) -> None:
    """Train, by default OPSPO on SMAX 3m."""
    from opspo.cli.starting import starting_config
    from opspo.environments import check_id

    default, env = starting_config(arguments)
    check_id(env)
    parsed = tyro.cli(_Train, prog="opspo train", args=arguments, default=_Train(config=default))
    if parsed.variant:
        parsed = dataclasses.replace(parsed, config=_varied(parsed))

    from opspo.devices import keep_programs
    from opspo.training import trainer

    keep_programs()
    processes = parse_processes(parsed.processes)
    if parsed.seeds and processes:
        raise ConfigError(
            "--seeds are trained in one process: leave out --processes, or give one --seed."
        )
    start: dict[str, Any] = {
        "init_from": parsed.init_from or None,
        "init_checkpoint": parse_checkpoint(parsed.init_checkpoint),
        "overwrite": parsed.overwrite,
    }
    if parsed.seeds:
        results = trainer.train_seeds(parsed.config, parse_seeds(parsed.seeds), **start)
    else:
        results = [trainer.train(parsed.config, processes=processes, **start)]
    for result in results:
        print(f"Done: {result.env_steps:,} steps. Everything is in {result.run_dir}/")


def _varied(parsed: _Train) -> TrainConfig:
    """The settings of a command line, changed by its variant.

    The variant comes after the flags, since it starts from the epochs that they ask for.
    """
    from opspo.config.changes import changes
    from opspo.environments import make_env
    from opspo.presets import VARIANTS, variant_config

    asked = parsed.config
    if parsed.variant not in VARIANTS:
        raise unknown_name("variant", parsed.variant, VARIANTS)
    if parsed.from_config:
        raise ConfigError(
            "--variant changes a preset, but --from-config has the settings of a run, to which a "
            "variant may have been applied already. Leave one of the two out."
        )
    num_agents = make_env(asked.env).spec.num_agents
    config = variant_config(parsed.variant, asked, num_agents=num_agents, preset=parsed.preset)
    for change in changes(asked, config):
        print(f"{parsed.variant}: {change.name} is {change.now} instead of {change.was}")
    return config
