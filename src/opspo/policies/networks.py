"""The networks of a run, for which an algorithm is composed."""

from __future__ import annotations

from dataclasses import dataclass

from opspo.config import PolicyConfig
from opspo.environments.base import EnvironmentSpec
from opspo.policies.team import Critic, Team, make_critic, make_team


@dataclass(frozen=True)
class Networks:
    """The actors, the critic, and the sequences that they are trained on."""

    team: Team
    critic: Critic
    chunk_length: int
    """Steps in a sequence; 1 without memory"""


def make_networks(
    config: PolicyConfig, spec: EnvironmentSpec, *, local_critic: bool, chunk_length: int
) -> Networks:
    """Make the networks for an environment.

    Args:
        config: the settings of the networks.
        spec: the environment's specification, after entry.
        local_critic: whether each agent has its own critic, of its own observation.
        chunk_length: steps in a sequence.
    """
    return Networks(
        team=make_team(config, spec),
        critic=make_critic(config, spec, local=local_critic),
        chunk_length=chunk_length,
    )
