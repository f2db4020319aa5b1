"""Filming an episode of a run."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from opspo.environments import make_env
from opspo.environments.base import Environment
from opspo.errors import ConfigError
from opspo.evaluate import limit_of
from opspo.policy import load_policy
from opspo.run_folder import open_run

if TYPE_CHECKING:
    from PIL import Image

    from opspo.rendering.record import Tally

FASTEST = 60
"""Maximum frames per second"""


def watch(
    run_dir: str | Path,
    out: str | Path,
    *,
    environment: Environment | None = None,
    seed: int = 0,
    checkpoint: int | Literal["latest", "best"] = "latest",
    greedy: bool = True,
    max_steps: int = 0,
    fps: int = 0,
) -> Tally:
    """Film one episode of a run's policy, and return its final tally.

    The limit on steps is that of the run's evaluations.

    Args:
        run_dir: the run's folder.
        out: the film, a `.gif` or `.mp4` file; an existing file is replaced.
        environment: the environment to play in, for a run on your own; by default the run's.
        seed: the episode's seed.
        checkpoint: the run's `latest`, the one evaluated `best`, or an iteration.
        greedy: take the most probable action rather than sampling.
        max_steps: stop after this many steps if the episode has not ended; 0 for no such stop.
        fps: steps shown per second; 0 for the environment's default.

    Raises:
        ConfigError: an argument is out of range, or a picture or what draws it is missing.
        EngineError: the environment raised.
        RunError: the run or checkpoint cannot be read, or was trained for another environment.
    """
    _check(Path(out), seed, max_steps, fps)
    from opspo.rendering.caption import captioned  # noqa: PLC0415
    from opspo.rendering.record import Episode, Tally  # noqa: PLC0415
    from opspo.rendering.renderers import renderer_of  # noqa: PLC0415  (draws with Pillow)
    from opspo.rendering.write import write  # noqa: PLC0415

    _, config = open_run(run_dir)
    scene = environment or make_env(config.env)
    policy = load_policy(run_dir, checkpoint=checkpoint, environment=scene)
    limit = limit_of(scene.spec, config.evaluation.episode_limit)
    renderer, episode, last = renderer_of(scene), Episode(seed, greedy, limit, max_steps), Tally()

    def pictures() -> Iterator[Image.Image]:
        nonlocal last
        for shot in renderer.shots(scene, policy, episode):
            last = shot.tally
            yield captioned(shot, scene.spec.name)

    write(Path(out), pictures(), fps or renderer.fps)
    return last


def _check(out: Path, seed: int, max_steps: int, fps: int) -> None:
    if not 0 <= seed < 2**31:
        raise ConfigError(f"seed must be from 0 to 2**31 - 1, but is {seed}.")
    if max_steps < 0:
        raise ConfigError(f"max-steps must be 0 (all) or more, but is {max_steps}.")
    if not 0 <= fps <= FASTEST:
        raise ConfigError(
            f"fps must be from 1 to {FASTEST}, or 0 for the environment's default, but is {fps}."
        )
    if find_spec("PIL") is None:
        raise ConfigError("Films need Pillow: pip install 'opspo[watch]'")
    from opspo.rendering.write import check_out  # noqa: PLC0415

    check_out(out)
