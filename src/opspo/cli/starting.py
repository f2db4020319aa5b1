"""The settings that a command line starts from: a preset, or a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from opspo.config import TrainConfig, from_json
from opspo.config.own import own_names
from opspo.errors import ConfigError
from opspo.presets import preset_config


@dataclass(frozen=True)
class _Choice:
    env: str = ""
    algo: str = ""
    preset: str = ""
    from_config: str = ""


def starting_config(arguments: Sequence[str]) -> tuple[TrainConfig, str]:
    """The settings that the other flags override, and the environment's id.

    The environment and the algorithm are read first, since they decide which settings there are.
    """
    choice, _ = tyro.cli(
        _Choice,
        args=[a for a in arguments if a not in ("-h", "--help")],
        return_unknown_args=True,
        add_help=False,
    )
    if choice.from_config and choice.preset:
        raise ConfigError(
            "--preset and --from-config both choose the settings to start from. Leave one out."
        )
    if choice.from_config:
        config = dataclasses.replace(_read_config(choice), run_dir="")
    else:
        config = preset_config(
            choice.preset or "default",
            choice.env or TrainConfig.env,
            choice.algo or TrainConfig.algo,
        )
    return config, choice.env or config.env


def _read_config(choice: _Choice) -> TrainConfig:
    try:
        config = from_json(Path(choice.from_config).read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--from-config {choice.from_config} cannot be read: {error}") from error
    if whose := own_names(config):
        raise ConfigError(
            f"--from-config {choice.from_config} has an algorithm of your own "
            f"({', '.join(whose)}), which the command line cannot have. Train it from Python: "
            "opspo.train(config, algorithm=...)."
        )
    if choice.algo not in ("", config.algo):
        raise ConfigError(
            f"--from-config has the settings of '{config.algo}', which do not fit --algo "
            f"{choice.algo}. Leave one of the two out."
        )
    return config
