"""The file that names a study: its tasks, algorithms, variants, seeds, budget and evaluation.

`parse` reads TOML and checks everything that needs no environment; errors name the line. What the
settings mean for each run is in `grid`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from opspo.algorithms import ALGORITHMS
from opspo.config import parse_seeds
from opspo.errors import ConfigError, unknown_name
from opspo.experiments.toml_lines import line_of

FORBID: dict[str, Any] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How runs are evaluated; the defaults are those of Gorsane et al. (2022)."""

    __pydantic_config__: ClassVar[Any] = FORBID

    times: int = 20
    """Evaluations while training, the last of them at the end. Each follows a whole iteration of
    every line, so that with few iterations there are more or fewer than this."""
    episodes: int = 32
    """Episodes of each."""
    absolute_episodes: int = 320
    """Episodes of the absolute metric: the best policy found while training, on fresh ones."""
    policy: Literal["greedy", "sampled"] = "greedy"
    """Whether those evaluations take the most probable action. A trust-region method optimises what
    a sampled policy earns."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Tasks that are normalised alike and reported together."""

    __pydantic_config__: ClassVar[Any] = FORBID

    name: str
    tasks: tuple[str, ...]
    """Their environment ids."""
    metric: str = ""
    """Of an episode: `return`, `win`, `length`, or one of the environment's own; by default `win`
    where episodes are won, else `return`. It is what is reported. The best policy is chosen by the
    win rate, then by the return, whatever the metric."""
    normalise: tuple[float, float] = (0.0, 1.0)
    """Values of the metric that become 0 and 1."""
    steps: int = 0
    """Environment steps of each run; 0: the study's."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of its runs, over the study's."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """Algorithms with changed settings, as lines of their own."""

    __pydantic_config__: ClassVar[Any] = FORBID

    name: str
    algorithms: tuple[str, ...] = ()
    """Which; by default all of the study."""
    tasks: tuple[str, ...] = ()
    """Patterns of the tasks that it is for, such as `smax/*`; by default all."""
    preset: str = ""
    """Preset to start from, if another than the study's."""
    change: str = ""
    """A named change such as `equal_steps`."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of its runs, over the group's."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A grid of runs, tasks × lines × seeds. A line is an algorithm, or a variant of one."""

    __pydantic_config__: ClassVar[Any] = FORBID

    name: str
    """Its records are in `results/<name>`."""
    groups: tuple[Group, ...]
    algorithms: tuple[str, ...]
    seeds: tuple[int, ...] | str
    """A list, or a range such as `0..9`."""
    steps: int = 0
    """Environment steps of each run, where its group does not say."""
    preset: str = "default"
    """Preset that every run starts from."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of all runs, by the names of the flags of `opspo train`."""
    variants: tuple[Variant, ...] = ()
    unvaried: bool = True
    """Whether the algorithms run without a variant too."""
    evaluation: Protocol = field(default_factory=Protocol)
    seeds_per_process: int = 1
    """Seeds that share a program, where the environment is simulated in JAX."""
    films: bool = False
    """Whether the best policy of each line's first seed plays an episode for a film."""
    tuning: str = ""
    """The record of the tuning (`opspo tune`) that the settings come from."""


@dataclass(frozen=True)
class StudyFile:
    """A study, and where each part of it stands."""

    path: Path
    text: str
    study: Study

    def at(self, *keys: str | int) -> str:
        """Where a part is, for a message: `studies/smoke.toml, line 7`."""
        line = line_of(self.text, keys)
        return f"{self.path}, line {line}" if line else str(self.path)

    def wrong(self, error: Exception | str, *keys: str | int) -> ConfigError:
        """An error in a part of the file."""
        return ConfigError(f"{self.at(*keys)}: {error}")


def read_study(path: str | Path) -> StudyFile:
    """Read and check a study's file.

    Raises:
        ConfigError: it cannot be read, or a part of it is unknown, ill-typed, or double. The
            message names the line.
    """
    path = Path(path)
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The study {path} cannot be read: {error}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> StudyFile:
    """The study of a file's text; see `read_study`."""
    import pydantic  # noqa: PLC0415  (only commands about studies need it)

    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    try:
        study = pydantic.TypeAdapter(Study).validate_python(data)
    except pydantic.ValidationError as errors:
        first = errors.errors()[0]
        keys = [key for key in first["loc"] if not str(key).startswith(("tuple", "str"))]
        name = ".".join(map(str, keys))
        line = line_of(text, keys)
        where = f"{path}, line {line}" if line else str(path)
        raise ConfigError(f"{where}: {name}: {first['msg']}.") from errors
    file = StudyFile(path, text, study)
    _check(file)
    return file


def seeds_of(study: Study) -> list[int]:
    """The seeds of a study."""
    return list(parse_seeds(study.seeds) if isinstance(study.seeds, str) else study.seeds)


def _check(file: StudyFile) -> None:
    study = file.study
    if not re.fullmatch(r"\w[\w.-]*", study.name):
        raise file.wrong(
            "name must be of letters, digits, '_', '-' and '.', and not begin with '-' or '.', but "
            f"is '{study.name}'.",
            "name",
        )
    _check_seeds(file)
    if not study.algorithms:
        raise file.wrong("algorithms must name at least one.", "algorithms")
    for algo in study.algorithms:
        _check_algorithm(file, algo, "algorithms")
    if not (study.unvaried or study.variants):
        raise file.wrong("without variants, unvaried must be true.", "unvaried")
    for i, variant in enumerate(study.variants):
        for algo in variant.algorithms:
            _check_algorithm(file, algo, "variants", i, "algorithms")
    _check_double(file, [variant.name for variant in study.variants], "variants")
    _check_groups(file)
    _check_protocol(file)


def _check_groups(file: StudyFile) -> None:
    study = file.study
    if not study.groups:
        raise file.wrong("there must be at least one of [[groups]].", "groups")
    _check_double(file, [group.name for group in study.groups], "groups")
    tasks = [(i, task) for i, group in enumerate(study.groups) for task in group.tasks]
    for k, (i, task) in enumerate(tasks):
        if task in (other for _, other in tasks[:k]):
            raise file.wrong(f"the task {task} is there twice.", "groups", i, "tasks")
    for i, group in enumerate(study.groups):
        if not group.tasks:
            raise file.wrong(f"the group '{group.name}' needs tasks.", "groups", i, "tasks")
        if not group.normalise[0] < group.normalise[1]:
            raise file.wrong("normalise must be [low, high].", "groups", i, "normalise")
        if (group.steps or study.steps) < 1:
            raise file.wrong(f"the group '{group.name}' needs steps.", "groups", i)


def _check_protocol(file: StudyFile) -> None:
    study = file.study
    for name in ("times", "episodes", "absolute_episodes"):
        if getattr(study.evaluation, name) < 1:
            raise file.wrong(f"{name} must be at least 1.", "evaluation", name)


def _check_seeds(file: StudyFile) -> None:
    try:
        seeds = seeds_of(file.study)
    except ConfigError as error:
        raise file.wrong(error, "seeds") from error
    if len(set(seeds)) < len(seeds) or not seeds:
        raise file.wrong("seeds must be different, and at least one.", "seeds")
    share = file.study.seeds_per_process
    if share < 1 or len(seeds) % share:
        raise file.wrong(
            f"seeds_per_process must be at least 1 and divide the {len(seeds)} seeds, but is "
            f"{share}.",
            "seeds_per_process",
        )


def _check_algorithm(file: StudyFile, algo: str, *keys: str | int) -> None:
    if algo not in ALGORITHMS:
        raise file.wrong(unknown_name("algorithm", algo, ALGORITHMS), *keys)


def _check_double(file: StudyFile, names: list[str], part: str) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise file.wrong(f"the name '{name}' is there twice.", part, i, "name")
