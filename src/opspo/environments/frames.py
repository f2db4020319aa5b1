"""Exceptions in a user's environment, cut down to the user's own frames."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path
from types import ModuleType

import flax
import gymnasium
import jax
import jaxlib
import numpy as np

import opspo
from opspo.errors import ConfigError

MOST_FRAMES = 5
"""Maximum number of frames shown, the innermost"""


def _folder(module: ModuleType) -> Path:
    return Path(str(module.__file__)).parent


_OURS = _folder(opspo)
_LIBRARIES = tuple(_folder(module) for module in (jax, jaxlib, np, flax, gymnasium))
_PYTHON = Path(sysconfig.get_paths()["stdlib"])


def is_users(filename: str) -> bool:
    """Whether a frame belongs neither to this library nor to those it is built on.

    An environment may be an installed package, so all other packages count as the user's.
    """
    path = Path(filename)
    if not path.is_absolute():
        return not filename.startswith("<frozen")
    if any(folder in path.parents for folder in (_OURS, *_LIBRARIES)):
        return False
    return _PYTHON not in path.parents or "site-packages" in path.parts


def user_frames(error: BaseException) -> str:
    """The user's frames in an exception's traceback, the innermost last; "" if there are none.

    Exceptions from a worker or a callback carry their traceback as text. For an exception that this
    library raised because of another, the frames are those of the other.
    """
    for text in reversed(_CHAINED.split(str(error))):
        if found := _in_text(text):
            return found
    frames = [f for f in traceback.extract_tb(error.__traceback__) if is_users(f.filename)]
    if not frames and error.__cause__ is not None:
        return user_frames(error.__cause__)
    return "".join(traceback.format_list(frames[-MOST_FRAMES:])).rstrip()


def _in_text(text: str) -> str:
    """The user's frames in a traceback given as text: those called by this library's."""
    found = list(_FRAME.finditer(text))
    ours = [i for i, frame in enumerate(found) if _OURS in Path(frame["file"]).parents]
    kept = [frame[0] for frame in found[max(ours, default=-1) + 1 :] if is_users(frame["file"])]
    return "".join(kept[-MOST_FRAMES:]).rstrip()


_CHAINED = re.compile(r"^The above exception was the direct cause of .*$", flags=re.MULTILINE)
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)".*\n(?:    .*\n)*', flags=re.MULTILINE)


def told(error: BaseException) -> str:
    """An exception as a message: the user's frames, then what was raised.

    If there are no user frames, the innermost frame stands in for them; not for a `ConfigError`,
    whose message says everything.
    """
    frames = user_frames(error)
    if isinstance(error, ConfigError):
        return f"{frames}\n{error}".lstrip("\n")
    if not frames and error.__traceback__:
        frames = "".join(traceback.format_tb(error.__traceback__)[-1:]).rstrip()
    return f"{frames}\n{described(error)}".lstrip("\n")


def described(error: BaseException) -> str:
    """The exception's name and the first line of its message.

    If the message is itself a traceback, the exception that the traceback ends with.
    """
    lines = [line.rstrip() for line in str(error).splitlines() if line.strip()]
    begun = [i for i, line in enumerate(lines) if "Traceback (most recent call last)" in line]
    if begun:
        ends = [line for line in lines[begun[-1] + 1 :] if not line.startswith(" ")]
        return ends[0] if ends else type(error).__name__
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


_CONDITION = (
    "Python's `if`, `while`, `and`, `assert`, `int()` and `float()` need a concrete number, and "
    "there is none while JAX compiles: use `jnp.where`, `jax.lax.cond` or `jax.lax.while_loop`."
)
_ARRAY = "NumPy needs concrete numbers, and there are none while JAX compiles: use `jax.numpy`."
_LEAK = (
    "A value from one call was kept (in an attribute, a list or a global) and used in another: "
    "keep it in the state that `reset` and `step` return."
)
_TRACING: tuple[tuple[type[Exception], str], ...] = (
    (jax.errors.TracerArrayConversionError, _ARRAY),
    (jax.errors.TracerIntegerConversionError, _CONDITION),
    (
        jax.errors.NonConcreteBooleanIndexError,
        "A boolean index gives an array of unknown size: use `jnp.where` with three arguments.",
    ),
    (jax.errors.ConcretizationTypeError, _CONDITION),
    (jax.errors.UnexpectedTracerError, _LEAK),
)


def tracing_fix(error: BaseException) -> str:
    """How to fix an exception that JAX raises while it compiles; "" for any other."""
    return next((fix for kind, fix in _TRACING if isinstance(error, kind)), "")
