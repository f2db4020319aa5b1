"""The names that an environment's own documentation has for its parts, for messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opspo.environments.base import EnvironmentSpec


@dataclass(frozen=True)
class Words:
    """The names of the parts of an observation and of a step."""

    fields: Mapping[str, str]
    end: str
    """How to end an episode"""
    adapted: bool = False
    """Whether one of this library's adapters makes the observations of dead agents"""

    def __getitem__(self, field: str) -> str:
        """The name of a field; outcomes are called `outcome: <name>`."""
        kind, _, name = field.partition(": ")
        return self.fields[kind].format(name=name)


OWN = Words(
    fields={
        "observation": "`Observation.observation`",
        "state": "`Observation.state`",
        "available_actions": "`Observation.available_actions`",
        "alive": "`Observation.alive`",
        "reward": "`Step.reward`",
        "terminated": "`Step.terminated`",
        "truncated": "`Step.truncated`",
        "win": "`Step.win`",
        "lost": "`Step.lost`",
        "outcome": "`Step.outcome['{name}']`",
    },
    end="set `Step.truncated` at the last step that an episode may take",
)
"""For environments that follow this library's own protocols"""

PARALLEL = Words(
    fields={
        "observation": "the observation",
        "state": "`state()`",
        "available_actions": "the `action_mask`",
        "alive": "`agents`",
        "reward": "the reward",
        "terminated": "`terminations`",
        "truncated": "`truncations`",
        "win": "the win",
        "lost": "the worker",
        "outcome": "the outcome '{name}'",
    },
    end="set `truncations[agent]` to True for every agent at the last step of an episode",
    adapted=True,
)
"""For environments with PettingZoo's parallel API"""


def agent_name(spec: EnvironmentSpec, index: int) -> str:
    """An agent by its own name, or by its number on the axis N."""
    return f"agent '{spec.agents[index]}'" if spec.agents else f"agent {index}"
