"""Whether the functions of a JAX environment depend only on their arguments."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import jax
import numpy as np

from opspo.environments.checks.compiled import SIGNATURES, joint_action, traced
from opspo.environments.checks.findings import Recorder

_FIX = (
    "JAX calls it once, while it compiles, and keeps the result of that call. Put whatever changes "
    "into the state, and draw from the key with `jax.random`."
)


@contextmanager
def first_trace(recorder: Recorder) -> Iterator[None]:
    """Watch the first trace of an environment for global random numbers and printing.

    It must be the first, since JAX may cache what it has traced.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with redirect_stdout(io.StringIO()) as printed:
        yield
    if random.getstate() != python:
        _impure(recorder, "`reset` or `step` draws from Python's global random numbers.")
    if not all(np.array_equal(a, b) for a, b in zip(numpy, np.random.get_state(), strict=True)):
        _impure(recorder, "`reset` or `step` draws from NumPy's global random numbers.")
    if printed.getvalue():
        recorder.note(
            "prints",
            f"`reset` or `step` prints {printed.getvalue().splitlines()[0]!r}.",
            "It is printed only while JAX compiles: use `jax.debug.print`, or remove it.",
        )


def check_purity(environment: Any, recorder: Recorder) -> None:
    """Trace `reset` and `step` twice more, and report whatever that changes.

    Raises:
        Stop: they cannot be traced for a batch of environments, with `jax.vmap`.
    """
    key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
    action = joint_action(environment.spec)
    state, _ = traced(recorder, environment, "reset", key)
    arguments = {"reset": (key,), "step": (key, state, action)}
    for name, given in arguments.items():
        before = _attributes(environment)
        with redirect_stdout(io.StringIO()):  # already reported
            one, other = (_program(getattr(environment, name), given) for _ in range(2))
        changed = _changed(before, _attributes(environment))
        if changed:
            _impure(recorder, f"`{name}` changes the environment's attribute `{changed}`.")
        if one != other:
            _impure(recorder, f"`{name}` compiles to a different program each time.")
    kept = _keeps_tracer(environment)
    if kept:
        _impure(recorder, f"`reset` or `step` keeps what it computes in the attribute `{kept}`.")
    several = jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape), x.dtype), arguments)
    for name in SIGNATURES:
        traced(recorder, environment, name, *several[name], transform=jax.vmap)


def _impure(recorder: Recorder, what: str) -> None:
    recorder.problem("impure", what, _FIX)


def _program(function: Any, arguments: tuple[Any, ...]) -> str:
    """The program that JAX makes of a function, with its constants."""

    def fresh(*given: Any) -> Any:  # a new function each time: JAX caches what it has traced
        return function(*given)

    closed = jax.make_jaxpr(fresh)(*arguments)
    constants = [np.asarray(c).tobytes() for c in closed.consts if isinstance(c, np.ndarray)]
    # the addresses of functions differ but mean nothing
    return re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr)) + repr(constants)


def _attributes(environment: Any) -> dict[str, Any]:
    """The environment's attributes, in a form that can be compared later."""
    return {name: _kept(value) for name, value in getattr(environment, "__dict__", {}).items()}


def _kept(value: Any, depth: int = 3) -> Any:
    """A stand-in that reveals whether the value changes later, even in place."""
    if isinstance(value, np.random.Generator):
        value = value.bit_generator.state
    elif isinstance(value, np.random.RandomState):
        value = value.get_state()
    elif isinstance(value, random.Random):
        value = value.getstate()
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    if isinstance(value, dict) and depth:
        return {key: _kept(part, depth - 1) for key, part in value.items()}
    if isinstance(value, list | tuple) and depth:
        return tuple(_kept(part, depth - 1) for part in value)
    simple = value is None or isinstance(value, bool | int | float | str | bytes)
    return value if simple else id(value)


def _keeps_tracer(environment: Any) -> str:
    """The name of an attribute that holds a value from tracing; "" if there is none."""
    for name, value in getattr(environment, "__dict__", {}).items():
        if any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(value)):
            return name
    return ""


def _changed(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The name of an attribute that has changed; "" if there is none."""
    names = sorted(before.keys() | after.keys())
    return next((n for n in names if before.get(n, _kept) != after.get(n, _kept)), "")
