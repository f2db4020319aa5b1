"""JAX environments: whether they compile, and an adapter that plays them like host environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from opspo.environments.base import (
    EnvironmentSpec,
    JaxEnvironment,
    Observation,
    Step,
    strongly_typed,
)
from opspo.environments.checks.findings import Finding, Recorder, Stop
from opspo.environments.checks.shapes import Faults, found_kind, observation_faults, step_faults
from opspo.environments.frames import described, tracing_fix, user_frames
from opspo.types import Array

SIGNATURES = {
    "reset": "`reset(key)` returns (state, Observation)",
    "step": "`step(key, state, action)` returns (state, Step)",
}


def look(environment: Any, recorder: Recorder) -> Faults:
    """Trace `reset` and `step` without running them, and check the form of what they return.

    Returns:
        What is wrong with each field; all of it is recorded, too.

    Raises:
        Stop: they cannot be traced, or `step` changes the shape of the state.
    """
    spec: EnvironmentSpec = environment.spec
    key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
    state, seen = traced(recorder, environment, "reset", key)
    faults = observation_faults(spec, seen, lead=(), where="in `reset`")
    after, step = traced(recorder, environment, "step", key, state, joint_action(spec))
    recorder.add(*faults.values(), *_state_problems(state, after))
    rest = step_faults(spec, step, lead=(), where="in `step`")
    recorder.add(*rest.values())
    if jax.tree.map(np.shape, state) != jax.tree.map(np.shape, after):
        raise Stop
    return rest | faults


def joint_action(spec: EnvironmentSpec) -> jax.ShapeDtypeStruct:
    """The shape and dtype of a joint action, for tracing."""
    shape = (spec.num_agents, spec.action_size) if spec.action_size else (spec.num_agents,)
    return jax.ShapeDtypeStruct(shape, "int32" if spec.num_actions else "float32")


def traced(
    recorder: Recorder,
    environment: Any,
    name: str,
    *arguments: Any,
    transform: Callable[[Any], Any] = jax.jit,
) -> tuple[Any, Any]:
    """The two values that `reset` or `step` returns, as `jax.ShapeDtypeStruct`s.

    Args:
        recorder: where problems go.
        environment: the JAX environment.
        name: `reset` or `step`.
        *arguments: for the call.
        transform: `jax.jit`, or `jax.vmap` to trace a batch.

    Raises:
        Stop: the function raises, or does not return two values.
    """
    try:
        returned = jax.eval_shape(transform(getattr(environment, name)), *arguments)
    except Exception as error:
        recorder.add(_raised(error, name, batched=transform is jax.vmap))
        raise Stop from error
    if not isinstance(returned, tuple | list) or len(returned) != 2:
        recorder.problem(
            f"returns: {name}",
            f"`{name}` returns {found_kind(returned)}, not a tuple of 2.",
            f"{SIGNATURES[name]}.",
        )
        raise Stop
    state, rest = returned
    # a Python number becomes an array at the first step
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state), rest


def _raised(error: Exception, name: str, *, batched: bool) -> Finding:
    trace, known = user_frames(error), tracing_fix(error)
    what = f"`{name}` cannot be {'batched by `jax.vmap`' if batched else 'compiled by JAX'}: "
    if isinstance(error, TypeError) and not trace and "argument" in str(error):
        fix = f"{SIGNATURES[name]}."
    elif batched:
        fix = "Several environments run in parallel: use operations that `jax.vmap` can batch."
    else:
        fix = known or "JAX traces it once, with arrays that have a shape but no values."
    return Finding(f"compiles: {name}", what + described(error), fix, trace=trace)


def _state_problems(before: Any, after: Any) -> tuple[Finding, ...]:
    """`step` must return a state of the same form as `reset`: episodes run in one loop."""
    fix = "A compiled loop needs one form: convert with `.astype`, and keep every part."
    parts, later = _parts(before), _parts(after)
    other = sorted(parts.keys() ^ later.keys())
    differ = [name for name in parts if parts[name] != later.get(name)]
    if other:
        has = {True: "has no", False: "has a"}
        what = f"in {other[0]}: that of `reset` {has[other[0] in later]} such part"
    elif differ:
        name = differ[0]
        what = f"in {name}, which is {later[name]} and was {parts[name]}"
    else:
        return ()
    what = f"The state that `step` returns differs from that of `reset` {what}."
    return (Finding("state", what, fix, "in `step`"),)


def _parts(state: Any) -> dict[str, str]:
    """dtype and shape of each array in a state, by name."""
    return {
        f"state{jax.tree_util.keystr(path)}": f"{x.dtype}{list(x.shape)}"
        for path, x in jax.tree_util.tree_leaves_with_path(state)
    }


class Compiled:
    """A JAX environment as a `HostEnvironment`, so that both kinds are played the same way."""

    def __init__(self, environment: JaxEnvironment) -> None:
        self.spec = environment.spec
        self.reset = jax.jit(lambda keys: strongly_typed(jax.vmap(environment.reset)(keys)))
        self.step = jax.jit(jax.vmap(environment.step))

    def open(self, num_envs: int, seed: int) -> CompiledBatch:
        """A batch of environments."""
        return CompiledBatch(self, num_envs, seed)


class CompiledBatch:
    """A `HostBatch` of a compiled JAX environment."""

    lost_episodes = 0

    def __init__(self, environment: Compiled, num_envs: int, seed: int) -> None:
        self._environment, self._num_envs = environment, num_envs
        self._key = jax.random.PRNGKey(seed)
        self._state: Any = None

    def reset(self) -> Observation:
        """Start an episode in every environment."""
        self._state, seen = self._environment.reset(self._keys())
        return _numpy(seen)

    def step(self, action: np.ndarray) -> tuple[Step, Observation]:
        """Take the joint actions [E, N] or [E, N, D]; environments that ended restart."""
        self._state, step = self._environment.step(self._keys(), self._state, action)
        step = _numpy(step)
        done = np.asarray(step.terminated, bool) | np.asarray(step.truncated, bool)
        if not done.any():
            return step, step.observation
        state, fresh = self._environment.reset(self._keys())

        def pick(new: Any, old: Any) -> np.ndarray:
            new, old = np.asarray(new), np.asarray(old)
            return np.where(done.reshape(done.shape + (1,) * (old.ndim - 1)), new, old)

        self._state = jax.tree.map(pick, state, self._state)
        return step, jax.tree.map(pick, _numpy(fresh), step.observation)

    def close(self) -> None:
        """Do nothing: no process or engine needs to be stopped."""

    def _keys(self) -> Array:
        self._key, now = jax.random.split(self._key)
        return jax.random.split(now, self._num_envs)


def _numpy(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)
