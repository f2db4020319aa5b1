"""Starting a new run from another run's parameters: which ones fit, and why others do not.

Actors, critic, the statistics of their inputs and of the values are transferred layer by layer.
Everything else is new: optimisers, learned state weights, environments, random keys, and the
iteration count.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from opspo.checkpoint import flatten, unflatten
from opspo.config import TrainConfig
from opspo.config.changes import breaking, changes
from opspo.environments.base import EnvironmentSpec
from opspo.environments.identity import stored_spec
from opspo.errors import RunError
from opspo.policies.agent_ids import numbers_to_biases, renumbered
from opspo.policy import find_checkpoint
from opspo.run_folder import open_run
from opspo.training.learner import Learner
from opspo.types import TrainState

Arrays = dict[str, np.ndarray]
"""Path in a `TrainState`, such as `actor.params.torso.Dense_0.kernel` → array."""

PARTS = ("actor", "critic", "value_statistics")
"""The parts of a `TrainState` that may be transferred."""
LAST_OF_CRITIC = "critic.params.Dense_0"
"""The layer that outputs the value, in the unit of the value statistics."""


@dataclass(frozen=True)
class Source:
    """A checkpoint from which another run starts."""

    path: Path
    iteration: int
    config: TrainConfig
    spec: EnvironmentSpec
    arrays: Arrays


@dataclass(frozen=True)
class Transfer:
    """What a new run takes from its source."""

    source: Source
    arrays: Arrays
    fresh: dict[str, str]
    """Layers of the new run that start fresh → the reason"""
    unused: tuple[str, ...]
    """Layers of the source that the new run does not have"""
    changed: tuple[str, ...]
    """Differences in the settings of the networks, in words"""

    @property
    def taken(self) -> list[str]:
        """The layers that are transferred."""
        return list(dict.fromkeys(map(_layer, self.arrays)))

    def record(self) -> dict[str, Any]:
        """The contents of init.json."""
        return {
            "run": str(self.source.path),
            "checkpoint": self.source.iteration,
            "env": self.source.config.env,
            "algo": self.source.config.algo,
            "taken": self.taken,
            "fresh": self.fresh,
            "unused": list(self.unused),
            "settings": list(self.changed),
        }

    def __str__(self) -> str:
        lines = [
            f"Started from {self.source.path}, checkpoint {self.source.iteration}: "
            f"{len(self.taken)} layers taken, {len(self.fresh)} fresh."
        ]
        lines += [f"  fresh: {layer}: {why}" for layer, why in self.fresh.items()]
        lines += [f"  not used: {layer}" for layer in self.unused]
        return "\n".join([*lines, *(f"  note: {change}" for change in self.changed)])

    def apply(self, state: TrainState) -> TrainState:
        """A new run's initial state with the transferred arrays in place of the random ones."""
        parts = {name: getattr(state, name) for name in PARTS}
        # copies: the iteration consumes the state passed to it
        taken = {name: jnp.array(array) for name, array in self.arrays.items()}
        new = unflatten(parts, flatten(parts) | taken)
        return state.replace(**new)  # type: ignore[attr-defined]


def read_source(run_dir: str | Path, checkpoint: int | Literal["latest", "best"]) -> Source:
    """Read the parameters of a run.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read.
    """
    folder, config = open_run(run_dir)
    spec = stored_spec(folder).spec
    checkpoints, iteration = find_checkpoint(folder, checkpoint)
    arrays = checkpoints.arrays(iteration, PARTS)
    config = checkpoints.written_with(iteration) or config  # config.json may have been edited
    checkpoints.close()
    return Source(folder.path, iteration, config, spec, arrays)


def transfer(source: Source, learner: Learner) -> Transfer:
    """Find which parts of a source fit a new run.

    If the new run has separate parameters, every agent gets a copy of shared ones; an agent's
    number, if it was part of the input, becomes part of the first bias. If both runs have the same
    agent names, each agent keeps its own parameters; otherwise their order decides.

    Raises:
        RunError: nothing fits, or separate parameters would have to become one set.
    """
    config = learner.config
    if config.policy.share_parameters and not source.config.policy.share_parameters:
        raise RunError(
            f"{source.path} has separate parameters for each of its {source.spec.num_agents} "
            "agents, and no single set plays as they do: their mean was never trained. Start with "
            "--no-policy.share-parameters."
        )
    template = jax.eval_shape(learner.init, config.seed)
    wanted = flatten({name: getattr(template, name) for name in PARTS})
    given = _for_members(source, learner)
    fresh = _misfits(given, wanted)
    if source.config.algorithm.critic != config.algorithm.critic:
        why = f"the critic was {source.config.algorithm.critic} and is {config.algorithm.critic}"
        fresh |= {_layer(name): why for name in wanted if name.startswith("critic.")}
    if LAST_OF_CRITIC in fresh and "value_statistics" not in fresh:
        fresh["value_statistics"] = f"they are the unit of {LAST_OF_CRITIC}, which is fresh"
    found = Transfer(
        source=source,
        arrays={name: given[name] for name in wanted if _layer(name) not in fresh},
        fresh=fresh,
        unused=tuple(dict.fromkeys(_layer(name) for name in given if name not in wanted)),
        changed=_changed_networks(source.config, config),
    )
    if not any(".params." in name and name.endswith(".kernel") for name in found.arrays):
        reasons = "; ".join([*(f"{layer}: {why}" for layer, why in fresh.items()), *found.changed])
        raise RunError(
            f"No layer of {source.path} fits the new run. {reasons}. Use that run's policy "
            "settings, for instance with --from-config "
            f"{shlex.quote(str(source.path / 'config.json'))}."
        )
    return found


def _layer(name: str) -> str:
    """The layer that an array belongs to, which is transferred as a whole.

    An array that belongs directly to the network is a layer of its own.
    """
    parent = name.rpartition(".")[0]
    return name if parent.endswith(".params") else parent


def _for_members(source: Source, learner: Learner) -> Arrays:
    """The source's arrays, converted to the members of the new run (leading axis and numbers)."""
    order = _same_agents(source.spec, learner.environment.spec)
    local = source.config.algorithm.critic == "local"
    given = dict(source.arrays)
    for part in ("actor.", "critic.") if local else ("actor.",):
        mine = {name[len(part) :]: x for name, x in given.items() if name.startswith(part)}
        mine = _of_each(mine, source, learner, order)
        given |= {part + name: x for name, x in mine.items()}
    return given


def _of_each(arrays: Arrays, source: Source, learner: Learner, order: list[int]) -> Arrays:
    """The arrays of one per-agent network, shared or not, for the agents of the new run."""
    was, now = source.config.policy, learner.config.policy
    agents = source.spec.num_agents
    if not was.share_parameters:
        return {name: x[order] for name, x in arrays.items()} if order else arrays
    if was.appends_agent_id and order:
        arrays = renumbered(arrays, order)
    if now.share_parameters:
        return arrays
    each: Arrays = {}
    mixed = was.layer_norm and not was.running_normalisation
    if was.appends_agent_id and agents == learner.team.num_members and not mixed:
        arrays, each = numbers_to_biases(arrays, agents)
    count = learner.team.num_members
    return each | {name: np.broadcast_to(x, (count, *x.shape)) for name, x in arrays.items()}


def _same_agents(was: EnvironmentSpec, now: EnvironmentSpec) -> list[int]:
    """For each new agent its index in the source; [] if the names do not tell."""
    if not was.agents or sorted(was.agents) != sorted(now.agents):
        return []
    return [was.agents.index(name) for name in now.agents]


def _misfits(given: Arrays, wanted: dict[str, Any]) -> dict[str, str]:
    """Layers with an array that is missing or has a different shape → the reason."""
    fresh: dict[str, str] = {}
    for name, like in wanted.items():
        short = name.rpartition(".")[2]
        if name not in given:
            fresh.setdefault(_layer(name), f"{short} is missing there")
        elif given[name].shape != like.shape:
            was, now = list(given[name].shape), list(like.shape)
            fresh.setdefault(_layer(name), f"{short} has shape {was} there and {now} here")
    return fresh


def _changed_networks(was: TrainConfig, now: TrainConfig) -> tuple[str, ...]:
    found = breaking(changes(was, now), policy_alone=True)
    return tuple(change.said("there") for change in found)
