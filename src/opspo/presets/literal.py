"""OPSPO to the letter: every formula that can be run as it is printed."""

from __future__ import annotations

import dataclasses

from opspo.algorithms import OPSPOConfig
from opspo.config import TrainConfig
from opspo.errors import ConfigError
from opspo.presets.adapt import adapted
from opspo.presets.written import written_out


def literal(env: str, algo: str) -> TrainConfig:
    """OPSPO as printed, with the numbers of the default preset for the task, written out.

    Raises:
        ConfigError: the algorithm is another than OPSPO.
    """
    if algo != OPSPOConfig.name:
        raise ConfigError(
            f"preset: 'literal' is a form of opspo, but algo is '{algo}'. "
            "Take --algo opspo, or another preset."
        )
    return as_printed(adapted(written_out(env, algo)))


def as_printed(config: TrainConfig) -> TrainConfig:
    """`config` of OPSPO with the printed forms in place of the readings of docs/paper.md.

    Eq. 15's one-step advantage (E3), Eq. 14's target, step-wise weights that run to the present
    action and sum to 1 (E6) or the minimax with Eq. 33's sum of squares on data weighted by γ^t
    (E5, E11), agents in the order of their numbers (E10), the critic's values recomputed for each
    agent (E14), and the mean of the ratios of an action's dimensions (Section 5).
    """
    assert isinstance(config.algorithm, OPSPOConfig)
    algorithm = dataclasses.replace(
        config.algorithm,
        action_ratio="mean",
        advantage="td",
        value_target="printed",
        state_weight="stepwise_printed" if config.policy.share_parameters else "minimax",
        density=dataclasses.replace(
            config.algorithm.density, printed=True, equation="discounted", warm_start=False
        ),
        order="cyclic",
        values="anew",
    )
    return dataclasses.replace(config, algorithm=algorithm)
