"""The estimators that are compared by default: what each correction adds, and controls."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace

from opspo.algorithms import AlgorithmConfig, OPSPOConfig
from opspo.algorithms.names import TERMS
from opspo.config import TrainConfig


@dataclass(frozen=True)
class Candidate:
    """An estimator of the direction for a stage's agents, from a batch of old data."""

    declaration: AlgorithmConfig
    shuffled: bool = False
    """Whether it is given other samples' ratios: a control"""


BASELINE = "GAE"
"""The candidate that others are compared with: GAE(λ), no weights"""
LAMBDAS = (0.6, 0.8, 0.98)


def candidates(config: TrainConfig) -> dict[str, Candidate]:
    """The default candidates for a run, with its numbers (γ, λ, ε).

    `AEC` is the trace of clipped ratios, `w` the weight of the others' ratio, `SDC` the state
    weight ω, and `CRC` the corrected range. OPSPO has all three. `baseline` is a linear one, fitted
    to the other half of the environments; `steady` traces keep their mean length; with `critic
    first`, the critic takes the agent's epochs before the advantage is taken; `doubly robust` has
    action values.
    """
    numbers = {
        item.name: getattr(config.algorithm, item.name)
        for item in dataclasses.fields(OPSPOConfig)
        if item.name not in TERMS and hasattr(config.algorithm, item.name)
    }
    plain = replace(
        OPSPOConfig(),
        **numbers | {"critic_epochs": 0, "values": "collected", "reuse": 0},
        action_ratio=config.algorithm.action_ratio,
        advantage="gae",
        state_weight="none",
        clip_range="ppo",
    )
    traced = replace(plain, advantage="trace")
    whole = replace(traced, clip_range="corrected", state_weight="stepwise")
    found = {
        BASELINE: plain,
        **{f"GAE, λ = {each}": replace(plain, gae_lambda=each) for each in LAMBDAS},
        "GAE, baseline": replace(plain, baseline="linear_crossfit"),
        "GAE, w = r": replace(plain, clip_range="ratio"),
        "GAE, w = clip(r)": replace(plain, clip_range="double_by_position"),
        "GAE, w = min(r, ESS)": replace(plain, clip_range="effective"),
        "GAE, critic first": replace(plain, values="ahead"),
        "AEC": traced,
        "AEC, steady": replace(traced, trace_decay="steady"),
        "AEC, steady, SDC": replace(traced, trace_decay="steady", state_weight="stepwise"),
        "AEC, SDC": replace(traced, state_weight="stepwise"),
        "AEC, SDC linear": replace(traced, state_weight="linear"),
        "AEC, w = clip(r)": replace(traced, clip_range="double_by_position"),
        "AEC, CRC": replace(traced, clip_range="corrected"),
        "doubly robust": replace(plain, advantage="doubly_robust"),
        "OPSPO": whole,
    }
    return {
        **{name: Candidate(declaration) for name, declaration in found.items()},
        "AEC, shuffled": Candidate(traced, shuffled=True),
    }
