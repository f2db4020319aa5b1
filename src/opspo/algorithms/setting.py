"""What an algorithm is put together for."""

from __future__ import annotations

from dataclasses import dataclass

from opspo.policies.team import Critic, Team


@dataclass(frozen=True)
class Setting:
    """What an algorithm is put together for."""

    team: Team
    critic: Critic
    chunk_length: int
