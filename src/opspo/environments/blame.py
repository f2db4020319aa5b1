"""An error's traceback, cut to the frames of whoever wrote the environment."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

_FRAME = re.compile(r'^ *File "(?P<path>[^"]+)", line \d+')
_LIBRARIES = ("jax", "jaxlib", "flax", "gymnasium")
_PACKAGE = Path(__file__).parent.parent
_BEGIN = "Traceback (most recent call last):"


def users_frames(error: BaseException | str) -> str:
    """The traceback from where this library calls, without its, JAX's and Gymnasium's own frames.

    Where nothing else is left, the innermost frame stays. An error that JAX passes on from a
    callback has the callback's own traceback in its text, which is then all that counts.

    Args:
        error: or a traceback as text.
    """
    text = error if isinstance(error, str) else _text_of(error)
    head: list[str] = []
    frames: list[list[str]] = []
    tail: list[str] = []
    for line in text.splitlines():
        if _FRAME.match(line):
            frames.append([line])
        elif frames and not tail and line.startswith("    "):
            frames[-1].append(line)
        else:
            (tail if frames else head).append(line)
    ours = [_is_ours(frame[0]) for frame in frames]
    called = ours.index(True) if True in ours else 0  # before it are those who called the library
    theirs = [frames[i] for i in range(called, len(frames)) if not ours[i]] or frames[-1:]
    return "\n".join([*head, *(line for frame in theirs for line in frame), *tail]).strip()


def _text_of(error: BaseException) -> str:
    """The innermost traceback: of the callback, else of the error itself, without its causes."""
    within = str(error)
    if _BEGIN in within:
        return within[within.rindex(_BEGIN) :]
    return "".join(traceback.format_exception(error, chain=False))


def _is_ours(line: str) -> bool:
    found = _FRAME.match(line)
    assert found
    path = Path(found["path"])
    installed = "site-packages" in path.parts
    return path.is_relative_to(_PACKAGE) or (
        installed and path.parts[path.parts.index("site-packages") + 1] in _LIBRARIES
    )
