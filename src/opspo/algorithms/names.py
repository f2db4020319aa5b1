"""The names that an algorithm is declared with: each is that of a function.

The setting's name is the module, its value the function in it: `advantage="trace"` is
`estimators/advantages.py:trace`, `clip_range="double"` is `objectives/clip_ranges.py:double`
(`trace_agents` and `weight_agents` are both in `estimators/ratio_scopes.py`). The lists here are
the only ones; `terms.named` finds the function.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from opspo.errors import unknown_name
from opspo.terms import called

OrderName = Literal[
    "cyclic",
    "reverse_cyclic",
    "random",
    "greedy",
    "reverse_greedy",
    "semi_greedy",
    "reverse_semi_greedy",
]
AdvantageName = Literal["gae", "td", "vtrace_next", "trace", "doubly_robust"]
BaselineName = Literal["none", "mean", "linear", "linear_crossfit"]
ValueTargetName = Literal["advantage", "printed", "gae", "vtrace"]
TraceDecayName = Literal["factor", "bound", "twice", "steady", "running"]
TraceScopeName = Literal["others", "preceding", "all"]
WeightScopeName = Literal["others", "preceding"]
ActionRatioName = Literal["product", "mean"]
StateWeightName = Literal[
    "none", "stepwise", "stepwise_inclusive", "stepwise_printed", "linear", "kernel", "minimax"
]
ClipRangeName = Literal[
    "ppo",
    "ratio",
    "effective",
    "joint",
    "double",
    "double_by_position",
    "double_by_ratios",
    "corrected",
]

TERMS: dict[str, Any] = {
    "order": OrderName,
    "advantage": AdvantageName,
    "baseline": BaselineName,
    "value_target": ValueTargetName,
    "trace_decay": TraceDecayName,
    "trace_agents": TraceScopeName,
    "weight_agents": WeightScopeName,
    "action_ratio": ActionRatioName,
    "state_weight": StateWeightName,
    "clip_range": ClipRangeName,
}
"""Setting → its names. A declaration may have a function of its own in place of a name."""


def checked_name(setting: str, value: Any) -> Any:
    """A setting's value: the name of a function, or a function of the user's own.

    A function of this package becomes its name, so that what holds for the name holds for it.

    Raises:
        ConfigError: there is no such name.
    """
    names = get_args(TERMS[setting])
    if callable(value):
        module, _, name = called(value).partition(":")
        ours = module.startswith("opspo.") and hasattr(value, "__qualname__")
        return name if ours and name in names else value
    if value not in names:
        raise unknown_name(f"algorithm.{setting}", str(value), names)
    return value
