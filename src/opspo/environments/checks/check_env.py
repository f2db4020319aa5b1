"""`opspo.check_env`: play an environment for some episodes and report what does not fit."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium

from opspo.environments import make_env
from opspo.environments.base import runs_on_host
from opspo.environments.checks.compiled import Compiled, look
from opspo.environments.checks.findings import Recorder, Report, Stop
from opspo.environments.checks.instant import Subject
from opspo.environments.checks.parallel_api import lacks, spied
from opspo.environments.checks.play import play, reported
from opspo.environments.checks.purity import check_purity, first_trace
from opspo.environments.checks.shapes import found_kind, playable
from opspo.environments.checks.specification import specification_problems
from opspo.environments.checks.words import OWN, PARALLEL
from opspo.environments.pettingzoo import PettingZoo, from_pettingzoo
from opspo.errors import ConfigError, require

_MAKING = ("Making the environment", "", "The function that makes it is called without arguments.")
Play = Callable[..., tuple[int, int]]
"""`play`, with the number of episodes, the seed and the maximum number of steps already given"""


def check_env(
    environment: Any, *, episodes: int = 3, seed: int = 0, max_steps: int = 10_000
) -> Report:
    """Play an environment with random available actions and report what does not fit.

    Each kind of problem is reported once, with where it first happened and how to fix it.

    Args:
        environment: an environment that follows this library's protocols or PettingZoo's parallel
            API, a function that makes one, or an environment id.
        episodes: number of episodes to play to their end.
        seed: for the environment and for the actions.
        max_steps: an episode that has not ended after this many steps is abandoned.

    Raises:
        ConfigError: the id does not exist, its engine is not installed, `environment` is none of
            the above, or an argument is out of range.
    """
    require(episodes >= 1, "episodes", "at least 1", episodes)
    require(max_steps >= 1, "max_steps", "at least 1", max_steps)
    require(0 <= seed < 2**31, "seed", "from 0 to 2**31 - 1", seed)
    recorder = Recorder(_name(environment))
    playing = partial(play, episodes=episodes, seed=seed, max_steps=max_steps)
    try:
        played = _check(environment, recorder, playing)
    except Stop:
        played = 0, 0
    return Report(recorder.name, recorder.problems, recorder.notes, *played)


def _name(environment: Any) -> str:
    """A name for an environment whose specification has not been read yet."""
    if isinstance(environment, str):
        return environment
    spec = getattr(environment, "spec", None)
    known = getattr(spec, "name", "") or getattr(environment, "__name__", "")
    return str(known or type(environment).__name__).replace("<lambda>", "environment")


def _check(environment: Any, recorder: Recorder, playing: Play) -> tuple[int, int]:
    """Check the environment; return how many episodes and steps were played.

    Raises:
        Stop: it cannot be played.
    """
    if isinstance(environment, str):
        environment = make_env(environment)
    made = environment
    if isinstance(environment, type) or _is_factory(environment):
        with reported(recorder, *_MAKING):
            made = environment()
    recorder.name = _name(made)
    if isinstance(made, PettingZoo):
        return _check_adapted(made, recorder, playing)
    if hasattr(made, "possible_agents") or hasattr(made, "agent_iter"):
        make = environment if made is not environment else partial(_copied, _copied(made))
        return _check_parallel(make, made, recorder, playing)
    _require_protocol(made, recorder)
    recorder.add(*specification_problems(getattr(made, "spec", None)))
    if recorder.problems:
        raise Stop
    return _check_own(made, recorder, playing)


def _is_factory(environment: Any) -> bool:
    known = ("reset", "open", "possible_agents")
    return callable(environment) and not any(hasattr(environment, name) for name in known)


def _require_protocol(environment: Any, recorder: Recorder) -> None:
    """Raise `Stop` or a `ConfigError` if it does not follow this library's protocols."""
    if isinstance(environment, gymnasium.Env):
        recorder.problem(
            "single agent",
            "It is a Gymnasium environment, which has one agent and no team.",
            "Write it with PettingZoo's parallel API, or as docs/environments/own.md shows.",
        )
        raise Stop
    if hasattr(environment, "open"):
        return
    missing = [name for name in ("reset", "step") if not hasattr(environment, name)]
    if len(missing) == 2:
        raise ConfigError(
            f"check_env takes an environment, its id, or a function that makes one, but got "
            f"{found_kind(environment)}. `opspo envs` lists the ids; docs/environments/own.md "
            "shows what an environment needs."
        )
    if missing:
        recorder.problem(
            "missing",
            f"The environment has no `{missing[0]}`.",
            "An environment in JAX has `spec`, `reset(key)` and `step(key, state, action)`; any "
            "other has `spec` and `open(num_envs, seed)`.",
        )
        raise Stop


def _check_own(environment: Any, recorder: Recorder, playing: Play) -> tuple[int, int]:
    """Check an environment that follows this library's own protocols."""
    if runs_on_host(environment):
        return playing(environment, Subject(environment.spec, OWN, recorder, set()))
    with first_trace(recorder):
        faults = look(environment, recorder)
    check_purity(environment, recorder)
    if not playable(faults):
        raise Stop
    subject = Subject(environment.spec, OWN, recorder, set(faults))
    return playing(Compiled(environment), subject)


def _check_parallel(
    make: Callable[[], Any], made: Any, recorder: Recorder, playing: Play
) -> tuple[int, int]:
    """Check an environment with PettingZoo's parallel API; `made` is one instance of it."""
    recorder.name = f"pettingzoo/{getattr(made, 'metadata', {}).get('name', type(made).__name__)}"
    if lacks(made, recorder):
        raise Stop
    later = Recorder()
    try:
        with reported(later, *_MAKING):
            adapter = from_pettingzoo(spied(make, recorder), name=recorder.name)
        return playing(adapter, Subject(adapter.spec, PARALLEL, later, set()))
    finally:
        # faults as seen in the dictionaries come first, then what the adapter made of them
        recorder.follow(later)


def _check_adapted(adapter: PettingZoo, recorder: Recorder, playing: Play) -> tuple[int, int]:
    """Check an adapted environment; in worker processes its dictionaries cannot be inspected."""
    adapter = copy.copy(adapter)
    if not adapter.workers:
        adapter.make = spied(adapter.make, recorder)
    later = Recorder()
    try:
        return playing(adapter, Subject(adapter.spec, PARALLEL, later, set()))
    finally:
        recorder.follow(later)


def _copied(environment: Any) -> Any:
    """A copy of an environment that was given as a single instance.

    Raises:
        ConfigError: it cannot be copied.
    """
    try:
        return copy.deepcopy(environment)
    except Exception as error:
        raise ConfigError(
            f"{_name(environment)} cannot be copied ({type(error).__name__}), and the check plays "
            "several of them in parallel: pass a function that makes it, such as "
            "`check_env(lambda: MyEnvironment())`."
        ) from error
