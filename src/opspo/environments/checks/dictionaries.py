"""The entries of PettingZoo's dictionaries for one agent, checked against its spaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from opspo.environments.checks.findings import Recorder
from opspo.environments.decisions import allowed
from opspo.environments.spaces import MASK, action_of
from opspo.errors import ConfigError


def check_observation(recorder: Recorder, space: Any, observed: Any, where: str) -> None:
    """Check an agent's observation, without its mask, against its space."""
    for name, part, value in _parts(space, observed, ""):
        called = f"The observation{name}"
        if value is None:
            _misfit(recorder, f"{called} is missing, but its space is {part}.", where)
            continue
        try:
            numbers = np.asarray(value)
            floats = numbers.astype(np.float64)
        except (TypeError, ValueError):
            _misfit(recorder, f"{called} is not an array of numbers, but {value!r:.80}.", where)
            continue
        if not np.isfinite(floats).all():
            recorder.problem(
                "not finite: observation",
                f"{called} is not finite: {floats[~np.isfinite(floats)][0]}.",
                "Look for a division by 0, a logarithm of 0 or an overflow where it is computed.",
                where=where,
            )
        elif floats.size != int(np.prod(part.shape or ())):
            _misfit(
                recorder,
                f"{called} has shape {list(numbers.shape)}, but its space is {part}.",
                where,
            )
        elif isinstance(part, spaces.Box):
            _within(recorder, part, floats.reshape(part.shape), called, where)
        elif not part.contains(_as(part, numbers)):
            _misfit(recorder, f"{called} is {value!r:.80}, which is not in {part}.", where)


def _misfit(recorder: Recorder, what: str, where: str) -> None:
    recorder.problem(
        "observation and space",
        what,
        "Make `observation_space(agent)` describe what `reset` and `step` return.",
        where=where,
    )


def _as(space: Any, value: np.ndarray) -> Any:
    """The value in the dtype and shape of its space, if that loses nothing."""
    cast = value.astype(space.dtype).reshape(space.shape)
    if not np.array_equal(cast, value.reshape(space.shape)):
        return value
    return cast if space.shape else cast[()]


def _within(
    recorder: Recorder, box: spaces.Box, value: np.ndarray, called: str, where: str
) -> None:
    beyond = (value < box.low) | (value > box.high)
    if beyond.any():
        recorder.note(
            "beyond the bounds",
            f"{called} has {value[beyond][0]:.6g}, beyond the bounds of {box}.",
            "Widen the bounds of `observation_space(agent)`: they mislead whoever scales by them.",
            where=where,
        )


def _parts(space: Any, value: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """The innermost parts of a space: each one's name, space and value (None if missing)."""
    if isinstance(space, spaces.Dict):
        for key, part in space.spaces.items():
            if key != MASK:
                own = value.get(key) if isinstance(value, Mapping) else None
                yield from _parts(part, own, f"{name}[{key!r}]")
    elif isinstance(space, spaces.Tuple):
        for i, part in enumerate(space.spaces):
            there = isinstance(value, tuple | list) and i < len(value)
            yield from _parts(part, value[i] if there else None, f"{name}[{i}]")
    elif isinstance(value, Mapping) and "observation" in value:
        # a vector beside its mask, where the space is that of the vector alone
        yield f"{name}['observation']", space, value["observation"]
    else:
        yield name, space, value


def check_mask(
    recorder: Recorder, space: Any, observed: Any, info: Mapping[str, Any] | None, where: str
) -> None:
    """Check the mask in an agent's observation or info, if there is one."""
    mask = (info or {}).get(MASK)
    if isinstance(observed, Mapping):
        mask = observed.get(MASK, mask)
    try:
        action = action_of(space, where)
    except ConfigError:  # the adapter will refuse it and name the agent
        return
    if mask is None or not action.counts:
        return
    try:
        choices = allowed(mask, action, action.size, max(action.counts))
    except (TypeError, ValueError) as error:
        recorder.problem(
            "shape: available_actions",
            f"The `{MASK}` does not fit the action space, {space}: {error}.",
            "It needs one entry for each choice.",
            where=where,
        )
        return
    if not choices.any(-1).all():
        recorder.problem(
            "no action: alive",
            f"The `{MASK}` leaves no available action.",
            "Every agent in `agents` needs an action at every step, even if it does nothing.",
            where=where,
        )


def check_reward(recorder: Recorder, reward: Any, where: str) -> None:
    """Check one agent's reward in a step."""
    try:
        value = np.asarray(reward, np.float64)
    except (TypeError, ValueError):
        value = np.zeros(0)
    if value.size != 1:
        recorder.problem(
            "shape: reward",
            f"The reward is {reward!r:.80}, not a number.",
            "Return one number for each agent.",
            where=where,
        )
    elif not np.isfinite(value).all():
        recorder.problem(
            "not finite: reward",
            f"The reward is not finite: {value.item()}.",
            "Look for a division by 0, a logarithm of 0 or an overflow where it is computed.",
            where=where,
        )


def check_flags(recorder: Recorder, flags: Mapping[str, Any], where: str) -> None:
    """Check one agent's flags in a step, keyed by the name of their dictionary."""
    for name, flag in flags.items():
        if not isinstance(flag, bool | np.bool_) and getattr(flag, "dtype", None) != np.bool_:
            recorder.problem(
                f"dtype: {name}",
                f"`{name}` holds {flag!r:.80}, which is not boolean.",
                "Return True or False.",
                where=where,
            )
