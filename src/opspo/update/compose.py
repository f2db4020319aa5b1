"""From an algorithm's declaration to the algorithm."""

from __future__ import annotations

import dataclasses

from opspo import state_weights
from opspo.algorithms import AlgorithmConfig, SequentialConfig
from opspo.algorithms.names import TERMS
from opspo.errors import ConfigError
from opspo.estimators import (
    action_ratios,
    advantages,
    baselines,
    ratio_scopes,
    trace_decays,
    value_targets,
)
from opspo.objectives import clip_ranges
from opspo.policies.networks import Networks
from opspo.terms import Missing, call, check, check_positional, named
from opspo.update import orders
from opspo.update.algorithm import OFFERED, Algorithm
from opspo.update.schedule import Schedule, in_blocks, sequential, simultaneous

MODULES = {
    "order": orders,
    "advantage": advantages,
    "baseline": baselines,
    "value_target": value_targets,
    "trace_decay": trace_decays,
    "trace_agents": ratio_scopes,
    "weight_agents": ratio_scopes,
    "action_ratio": action_ratios,
    "state_weight": state_weights,
    "clip_range": clip_ranges,
}
"""Setting → the module with the functions that its values name"""


def compose(config: AlgorithmConfig, networks: Networks) -> Algorithm:
    """The algorithm that a declaration describes, for the networks of a run.

    Args:
        config: the declaration; a setting may have a function of its own in place of a name.
        networks: actors and critic.

    Raises:
        ConfigError: a function of its own asks for an array or a number that does not exist, or is
            known by its name alone; or a field of its own has a name that is taken.
    """
    _check_declaration(config)
    settings = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    numbers = {name: value for name, value in settings.items() if name not in TERMS}
    # whose ratios count is no setting of simultaneous algorithms: nobody precedes
    terms = {
        setting: named(module, settings.get(setting, "others"))
        for setting, module in MODULES.items()
        if setting != "order"
    }
    if terms["trace_decay"] is trace_decays.running:
        terms["advantage"] = trace_decays.running
    offered = {**numbers, "networks": networks}
    check("state_weight", terms["state_weight"], offered)
    return Algorithm(
        **terms | {"state_weight": call(terms["state_weight"], offered)},
        schedule=_schedule(config, networks),
        state_weight_min=config.state_weight_min,
        state_weight_max=config.state_weight_max,
        range_is_live=not isinstance(config, SequentialConfig),
        values=settings.get("values", "collected"),
        declaration=config,
    )


TAKEN = {"networks"}.union(*OFFERED.values()) - set(TERMS)
"""What terms are given by name, so that no number can have the same"""


def _check_declaration(config: AlgorithmConfig) -> None:
    if config.stands_for:
        Missing(config.stands_for)()
    kind = type(config)
    if config.sequential != isinstance(config, SequentialConfig):
        raise ConfigError(
            f"{kind.__qualname__}.sequential is {config.sequential}. Derive a sequential algorithm "
            "from SequentialConfig and a simultaneous one from AlgorithmConfig, and leave "
            "`sequential` out."
        )
    taken = TAKEN & {item.name for item in dataclasses.fields(config)}
    if taken:
        raise ConfigError(
            f"{kind.__qualname__} has fields with the names of what terms are given: "
            f"{', '.join(sorted(taken))}. Rename them."
        )


def _schedule(config: AlgorithmConfig, networks: Networks) -> Schedule:
    agents = networks.team.num_members
    if not isinstance(config, SequentialConfig):
        return simultaneous(num_agents=agents, epochs=config.epochs)
    order = named(orders, config.order)
    check_positional("order", order, ("key", "score"))
    if not networks.team.shared:
        return sequential(order, num_agents=agents, epochs=config.epochs)
    return in_blocks(
        order,
        num_agents=agents,
        rounds=config.rounds(agents),
        blocks=config.blocks,
        cumulative=config.cumulative_blocks,
    )
