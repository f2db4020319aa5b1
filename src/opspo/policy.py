"""A trained team, usable without the trainer and the environment's engine."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from opspo.checkpoint import Checkpoints
from opspo.config import TrainConfig
from opspo.environments.base import EnvironmentSpec
from opspo.environments.decisions import choices_of
from opspo.environments.entry import entered_spec, with_agent_id
from opspo.environments.identity import HasSpec, check_same, stored_spec
from opspo.errors import RunError
from opspo.policies.team import Team, make_team
from opspo.run_folder import RunFolder, open_run
from opspo.types import Array, Params


class Policy:
    """Decentralised execution: each agent acts on its own observations.

    The object keeps the agents' recurrent state between calls; `reset` starts an episode. `spec`
    has the sizes, and the agents' names in the order of the axis N.
    """

    def __init__(
        self,
        team: Team,
        params: Params,
        spec: EnvironmentSpec,
        *,
        appends_agent_id: bool = False,
        members: Sequence[int] | None = None,
    ) -> None:
        """`members` are the indices of the specification's agents in this team; None: all."""
        self._members = list(range(spec.num_agents) if members is None else members)
        self.team = team
        self.params = params
        self.spec = spec
        """Specification of the environment, whose observations `act` takes"""
        self._agent_ids = np.eye(spec.num_agents)[self._members] if appends_agent_id else None
        """[n, N] what is appended to the observations of this team's n agents; None: nothing"""
        self._choices = choices_of(spec)[self._members] if spec.num_actions else None
        """[n, A] or [n, D, A] the choices each agent has at all; None for continuous actions"""
        self._memory: Array | None = None
        self._decide = jax.jit(self._decide_batch, static_argnames="greedy")

    def reset(self) -> None:
        """Clear the recurrent state: the next call to `act` begins an episode."""
        self._memory = None

    def act(
        self,
        observation: Any,
        available_actions: Any = None,
        *,
        greedy: bool = True,
        key: Array | None = None,
    ) -> np.ndarray:
        """The team's actions.

        Args:
            observation: [N, d], or [B, N, d] for a batch of B teams.
            available_actions: [..., N, A] bool, or [..., N, D, A] for D decisions; by default all
                actions that the agent has, according to `spec.counts`.
            greedy: take the most probable action; otherwise sample with `key`.
            key: random key, required to sample.

        Returns:
            Actions int [..., N] or [..., N, D], or float [..., N, D].

        Raises:
            ValueError: a shape does not fit, an agent has no available action, or the key is
                missing.
        """
        observation, available = self._check(observation, available_actions)
        if not greedy and key is None:
            raise ValueError("To sample actions, pass key=jax.random.PRNGKey(...).")
        batch = observation.shape[:-2]
        if self._memory is None:
            self._memory = self.team.initial_memory(*batch)
        if self._memory.shape[:-2] != batch:
            raise ValueError(
                f"This episode began with a batch of {self._memory.shape[:-2]}, not {batch}. "
                "Call reset() between episodes."
            )
        action, self._memory = self._decide(
            self.params, observation, available, self._memory, key, greedy=greedy
        )
        return np.asarray(action)

    def agent(self, index: int) -> Policy:
        """The policy of one agent alone, which takes and returns arrays with N = 1.

        Raises:
            ValueError: there is no such agent.
        """
        if not 0 <= index < self.team.num_members:
            raise ValueError(f"Agent {index} does not exist: there are {self.team.num_members}.")
        params = self.team.select(self.params, jnp.array([index]))
        return Policy(
            dataclasses.replace(self.team, num_members=1),
            params,
            self.spec,
            appends_agent_id=self._agent_ids is not None,
            members=[self._members[index]],
        )

    def _decide_batch(
        self,
        params: Params,
        observation: Array,
        available: Array | None,
        memory: Array,
        key: Array | None,
        *,
        greedy: bool,
    ) -> tuple[Array, Array]:
        if self._agent_ids is not None:
            observation = with_agent_id(observation, self._agent_ids)
        agents, size = observation.shape[-2:]
        flat = observation.reshape(1, -1, agents, size)
        output, after = self.team.unroll(
            params,
            flat,
            memory.reshape(flat.shape[1], agents, -1),
            jnp.zeros(flat.shape[:2], bool),
        )
        output = output.reshape(*observation.shape[:-1], -1)
        after = after.reshape(memory.shape)
        if greedy:
            return self.team.distribution.mode(output, available), after
        assert key is not None
        return self.team.distribution.sample(key, output, available), after

    def _check(self, observation: Any, available: Any) -> tuple[Array, Array | None]:
        observation = jnp.asarray(observation, jnp.float32)
        agents, size = self.team.num_members, self.spec.observation_size
        if observation.ndim not in (2, 3) or observation.shape[-2:] != (agents, size):
            raise ValueError(
                f"Expected observations [{agents}, {size}] or [B, {agents}, {size}] (agents, "
                f"features), but got {list(observation.shape)}."
            )
        if self._choices is None:
            return observation, None
        expected = (*observation.shape[:-1], *self.spec.choices)
        if available is None:
            available = np.broadcast_to(self._choices, expected)
        available = np.asarray(available, bool)
        if available.shape != expected:
            raise ValueError(
                f"Expected available_actions {list(expected)}, but got {list(available.shape)}."
            )
        if not available.any(axis=-1).all():
            agent = np.argwhere(~available.any(axis=-1))[0].tolist()
            raise ValueError(
                f"Agent {agent} has no available action. Give a dead agent one that does nothing."
            )
        return observation, jnp.asarray(available)


def load_policy(
    run_dir: str | Path,
    *,
    checkpoint: int | Literal["latest", "best"] = "latest",
    environment: HasSpec | None = None,
) -> Policy:
    """Load the policy of a run.

    Args:
        run_dir: the run's folder.
        checkpoint: its `latest`, the one evaluated `best`, or an iteration.
        environment: where the policy will play. It is compared with the environment that it was
            trained for: the sizes, and the agents' names in order.

    Raises:
        RunError: there is no such run or checkpoint, or it cannot be read; or the environment is
            not the one it was trained for, and the message lists every difference.
    """
    folder, config = open_run(run_dir)
    stored = stored_spec(folder)
    if environment is not None:
        check_same(folder, environment, stored)
    spec, appends = stored.spec, config.policy.appends_agent_id
    team = make_team(config.policy, entered_spec(spec, agent_id=appends))
    template = jax.eval_shape(team.init, jax.random.PRNGKey(0))
    checkpoints, iteration = find_checkpoint(folder, checkpoint, config=config)
    params = checkpoints.restore_actor(iteration, template)
    return Policy(team, params, spec, appends_agent_id=appends)


def find_checkpoint(
    folder: RunFolder,
    checkpoint: int | Literal["latest", "best"],
    *,
    config: TrainConfig | None = None,
) -> tuple[Checkpoints, int]:
    """Find a checkpoint of a run: its folder's `Checkpoints`, and its iteration.

    Raises:
        RunError: there is none yet, or `checkpoint` is not a valid choice.
    """
    if checkpoint not in ("latest", "best"):
        try:
            checkpoint = operator.index(checkpoint)  # type: ignore[arg-type]
        except TypeError:
            raise RunError(
                f"checkpoint must be 'latest', 'best' or an iteration, but is {checkpoint!r}."
            ) from None
    path = folder.best if checkpoint == "best" else folder.checkpoints
    checkpoints = Checkpoints(path, config=config) if path.is_dir() else None
    found = checkpoints.iterations() if checkpoints else []
    if checkpoints is None or not found:
        raise RunError(
            f"{folder.path} has no {checkpoint} checkpoint yet. Continue training with `opspo "
            f"resume --run-dir {folder.path}`."
        )
    return checkpoints, checkpoint if isinstance(checkpoint, int) else found[-1]
