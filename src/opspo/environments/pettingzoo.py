"""Cooperative environments with PettingZoo's parallel API: `pettingzoo/<module>`.

Agents may have observations of unequal length (shorter ones are padded with zeros), unequal numbers
of actions (the surplus is never available) or of action dimensions (the surplus does nothing), and
may leave early (they then count as dead). `spaces.py` describes how Gymnasium's spaces are
converted, `parallel.py` how ends and rewards are read.
"""

from __future__ import annotations

import importlib
from functools import partial
from importlib.metadata import packages_distributions, version
from typing import Any

import numpy as np

from opspo.environments.base import EnvironmentSpec
from opspo.environments.decisions import team_sizes
from opspo.environments.joint import JointBatch
from opspo.environments.opponents import OPPONENTS, is_known_game, opposed_pair
from opspo.environments.parallel import NO_STATE, Joint, MakeParallel, random_rewards
from opspo.environments.spaces import AN_IMAGE, action_of, has_image_shape, is_image, view_of
from opspo.errors import ConfigError

PROBE_STEPS, PROBE_SECONDS = 100, 5.0
"""Limits on the random play of a new environment that tells whether its agents are opponents"""


def from_module(name: str) -> PettingZoo:
    """The environment that a module's `parallel_env` makes.

    Args:
        name: the module, such as `mpe2.simple_spread_v3`; also without a leading `pettingzoo.`.

    Raises:
        ConfigError: there is no such module, or it has no parallel environment of one team.
    """
    for path in (name, f"pettingzoo.{name}"):
        try:
            module = importlib.import_module(path)
        except ModuleNotFoundError as error:
            if error.name is None or not path.startswith(error.name):
                raise ConfigError(f"pettingzoo/{name} needs {error.name}: {error}.") from error
            continue
        if not hasattr(module, "parallel_env"):
            raise ConfigError(f"{path} has no parallel_env, which opspo needs.")
        return PettingZoo(module.parallel_env, f"pettingzoo/{name}", engine=_package(path))
    raise ConfigError(
        f"pettingzoo/{name}: there is no module {name}. Install the package that has it, for "
        "example pip install 'opspo[pettingzoo]' for pettingzoo/mpe2.simple_spread_v3."
    )


def from_pettingzoo(
    make: MakeParallel, *, name: str = "", workers: bool = False, own_state: bool = True
) -> PettingZoo:
    """Your own environment with PettingZoo's parallel API, for `opspo.train`.

    Args:
        make: returns a new environment at each call.
        name: for messages and the run's files; by default the environment's own name.
        workers: step each environment in its own process, which is restarted if it dies. Worthwhile
            from about a millisecond per step. The script that does this must keep what it runs
            under `if __name__ == "__main__":`, since every worker imports it.
        own_state: whether the critic sees the environment's `state()`, if it has one, rather than
            the concatenated observations.

    Raises:
        ConfigError: opspo cannot train its spaces or its agents.
    """
    return PettingZoo(make, name, workers=workers, own_state=own_state)


def _package(module: str) -> str:
    """A module's package and version, or the module's own name if it is in no package."""
    top = module.partition(".")[0]
    distributions = packages_distributions().get(top, [])
    return f"{distributions[0]} {version(distributions[0])}" if distributions else module


class PettingZoo:
    """Any parallel environment as a `HostEnvironment`."""

    def __init__(
        self,
        make: MakeParallel,
        name: str = "",
        *,
        workers: bool = False,
        own_state: bool = True,
        engine: str = "",
    ) -> None:
        self.make = make
        self.workers = workers
        probe = make()
        try:
            title = getattr(probe, "metadata", {}).get("name", type(probe).__name__)
            name = name or f"pettingzoo/{title}"
            probe.reset(seed=0)
            self.agents = _all_agents(probe, name)
            who = {agent: f"{name}: agent {agent!r}" for agent in self.agents}
            self.views = {a: view_of(probe.observation_space(a), who[a]) for a in self.agents}
            self.actions = {a: action_of(probe.action_space(a), who[a]) for a in self.agents}
            sizes = [view.size for view in self.views.values()]
            state_size = _state_size(probe, name) if own_state else None
            self.has_state = state_size is not None
            self.spec = EnvironmentSpec(
                name=name,
                num_agents=len(self.agents),
                observation_size=max(sizes),
                state_size=sum(sizes) if state_size is None else state_size,
                agents=tuple(str(agent) for agent in self.agents),
                engine=engine or title,
                **team_sizes(list(self.actions.values()), name),
            )
            self._refuse_opponents(probe)
        finally:
            probe.close()

    def open(self, num_envs: int, seed: int) -> JointBatch:
        """Make the environments; each gets its own seed."""
        make = partial(Joint, self)
        return JointBatch(self.spec, make, num_envs, seed, workers=self.workers)

    def _refuse_opponents(self, probe: Any) -> None:
        """Raise a `ConfigError` if the agents are opponents, by name or by their rewards."""
        if is_known_game(type(getattr(probe, "unwrapped", probe)).__module__):
            raise ConfigError(f"{self.spec.name} {OPPONENTS}.")
        joint = Joint(self, probe)
        rewards = random_rewards(joint, self.agents, steps=PROBE_STEPS, seconds=PROBE_SECONDS)
        pair = opposed_pair(rewards)
        if pair is not None:
            one, other = (self.agents[i] for i in pair)
            raise ConfigError(
                f"{self.spec.name} {OPPONENTS}: in {len(rewards)} steps of random play, what "
                f"{one!r} gained {other!r} lost. Give one side a fixed policy within the "
                "environment and leave it out of its possible_agents; or, if they are one team, "
                "give each agent the team's mean reward, which is what opspo trains on."
            )


def _all_agents(engine: Any, name: str) -> list[Any]:
    agents = list(getattr(engine, "possible_agents", []))
    if not agents:
        raise ConfigError(
            f"{name} has no possible_agents, so opspo cannot know who takes part. Set it to the "
            "list of all agents that may ever be in agents."
        )
    return agents


def _state_size(engine: Any, name: str) -> int | None:
    """The length of the engine's `state()`, or None if it has none.

    Raises:
        ConfigError: the state is an image, or not an array.
    """
    try:
        state = engine.state()
    except Exception:  # PettingZoo's raises NotImplementedError, others whatever they like
        return None
    if state is None:
        return None
    try:
        numbers = np.asarray(state)
        size = numbers.astype(np.float32).size
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{name}: state() must return an array, but returned {state}. Change that, or "
            f"{NO_STATE}."
        ) from error
    seen_as_image = has_image_shape(numbers.shape, of_bytes=numbers.dtype == np.uint8)
    if seen_as_image or is_image(getattr(engine, "state_space", None)):
        raise ConfigError(
            f"{name}: state() returns an image, {list(numbers.shape)}, and opspo's networks take "
            f"vectors. Let it return a vector of features, or {NO_STATE}. ({AN_IMAGE}.)"
        )
    return size
