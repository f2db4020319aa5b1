"""Writing pictures to a file, as GIF or MP4."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from PIL import Image

from opspo.errors import ConfigError

HOLD_SECONDS = 2.0
"""How long the last picture is shown"""
FASTEST_GIF = 50
"""Maximum frames per second of a GIF; viewers slow down one that asks for more"""


def write_gif(path: Path, pictures: Iterable[Image.Image], fps: int) -> None:
    """Write a GIF that loops. Its last picture is one frame that lasts longer."""
    # a GIF counts time in hundredths of a second
    milliseconds = 10 * round(100 / min(fps, FASTEST_GIF))
    frames = [_in_few_colours(picture) for picture in pictures]
    durations = [milliseconds] * (len(frames) - 1) + [int(HOLD_SECONDS * 1000)]
    first, *rest = frames
    first.save(path, "GIF", save_all=True, append_images=rest, duration=durations, loop=0)


def write_mp4(path: Path, pictures: Iterable[Image.Image], fps: int) -> None:
    """Write H.264, repeating the last picture until it has been held long enough.

    Raises:
        ConfigError: the encoder failed, for instance because the disk is full.
    """
    from imageio_ffmpeg import get_ffmpeg_exe  # noqa: PLC0415  (only for this format)

    frames = iter(pictures)
    first = next(frames)
    size = f"{first.width}x{first.height}"
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", size, "-framerate", str(fps)]
    target = ["-codec:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20"]
    command = [get_ffmpeg_exe(), "-loglevel", "error", *source, "-i", "-", *target, "-y", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None and encoder.stderr is not None
        with suppress(BrokenPipeError), encoder.stdin:
            for picture in _held(chain([first], frames), round(HOLD_SECONDS * fps)):
                encoder.stdin.write(picture.tobytes())
        said = encoder.stderr.read().decode().strip()
    if encoder.returncode:
        raise ConfigError(f"--out {path} cannot be written: {said}")


def _held(pictures: Iterable[Image.Image], times: int) -> Iterator[Image.Image]:
    """All pictures, then the last one `times` more times."""
    for picture in pictures:
        yield picture
    for _ in range(times):
        yield picture


def _in_few_colours(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours of its own, undithered: dots would flicker between frames."""
    return picture.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)


WRITERS: dict[str, Callable[[Path, Iterable[Image.Image], int], None]] = {
    ".gif": write_gif,
    ".mp4": write_mp4,
}


def write(out: Path, pictures: Iterable[Image.Image], fps: int) -> None:
    """Write a film in the format given by the file's extension."""
    WRITERS[out.suffix.lower()](out, pictures, fps)


def check_out(out: Path) -> None:
    """Raise a `ConfigError` if no film can be written there."""
    if out.suffix.lower() not in WRITERS:
        raise ConfigError(
            f"--out must end in {' or '.join(WRITERS)}, the formats of a film, but is '{out}'."
        )
    if out.is_dir():
        raise ConfigError(f"--out {out} is a folder. Name a file in it.")
    if not out.parent.is_dir():
        raise ConfigError(f"--out {out} cannot be written: there is no folder {out.parent}.")
    if out.suffix.lower() == ".mp4" and find_spec("imageio_ffmpeg") is None:
        raise ConfigError("An .mp4 needs imageio-ffmpeg: pip install 'opspo[watch]'")
