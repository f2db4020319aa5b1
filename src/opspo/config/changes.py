"""Which settings may change when a run is resumed, and which have changed.

A checkpoint records the settings that it was written with. A run with edited settings cannot be
resumed where the saved state would mean something else under them:

- `env`, `algo`, `seed`: it would be another run under the same name;
- `rollout.num_envs`, `rollout.num_steps`: the environments are part of the state, and steps are
  counted in iterations;
- `policy.…` and `algorithm.critic`: the parameters are those of other networks.

Everything else may change (numbers of the algorithm, step sizes, evaluation, checkpoints,
`total_steps`, `devices`), as long as the state has the same arrays: a learned state weight, a
head for action values or earlier batches (`algorithm.reuse`) add or drop some.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from opspo.config.own import plain_settings
from opspo.config.run import TrainConfig

NETWORKS = ("policy",)
"""Settings that must not change if the policy alone is to be played."""
KEPT = ("env", "algo", "seed", "rollout.num_envs", "rollout.num_steps", "algorithm.critic")
"""Settings that must not change, in addition, if the run is to be resumed."""
AT_THE_START = ("policy.output_gain", "policy.initial_log_std")
"""Settings that are used once, for fresh networks."""
NEVER_SAVED = (
    "run_dir",
    "total_steps",
    "devices",
    "tensorboard",
    "composed_by",
    "evaluation",
    "checkpoint",
)
"""Settings that no array depends on."""
FREE_IN_POLICY = (*AT_THE_START, "policy.chunk_length")


@dataclasses.dataclass(frozen=True)
class Change:
    """A setting that is not what it was."""

    name: str
    was: Any
    now: Any

    def said(self, when: str) -> str:
        """In words, with values as config.json has them."""
        return f"{self.name} was {_shown(self.was)} {when}, and is {_shown(self.now)} now"


def changes(was: TrainConfig, now: TrainConfig) -> list[Change]:
    """Every setting that differs; what only one of two algorithms has was, or is, null."""
    before, after = (flat(plain_settings(each)) for each in (was, now))
    names = [*before, *(name for name in after if name not in before)]
    return [
        Change(name, before.get(name), after.get(name))
        for name in names
        if _shown(before.get(name)) != _shown(after.get(name))  # a file has lists for tuples
    ]


def breaking(found: Iterable[Change], *, policy_alone: bool = False) -> list[Change]:
    """The changes with which a run cannot be resumed, or a policy alone cannot be played."""
    kept = NETWORKS if policy_alone else (*KEPT, *NETWORKS)
    return [
        change
        for change in found
        if _within(change.name, kept) and not _within(change.name, FREE_IN_POLICY)
    ]


def shaping(found: Iterable[Change]) -> list[Change]:
    """Those changes that arrays of the state may depend on."""
    return [change for change in found if not _within(change.name, NEVER_SAVED)]


def _within(name: str, groups: Iterable[str]) -> bool:
    return any(name == group or name.startswith(f"{group}.") for group in groups)


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings in sections as settings with dotted names."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= (
            flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return found


def _shown(value: Any) -> str:
    return json.dumps(value)
