"""Pure functions that estimate: advantages, ratios, state weights, normalisation.

Where a setting names the function, its module is what is public: `advantages.trace` for
`advantage="trace"`.
"""

from opspo.estimators import (
    action_ratios,
    advantages,
    baselines,
    ratio_scopes,
    trace_decays,
    value_targets,
)
from opspo.estimators.density_ratio import (
    arrival_masses,
    kernel_objective,
    minimax_objective,
    mixture_log_ratio,
    positive_mean_one,
    residual_masses,
)
from opspo.estimators.linear_weight import (
    Equation,
    draw_frequencies,
    fourier_features,
    linear_equation,
    linear_omega,
    solve_equation,
)
from opspo.estimators.normalise import (
    fresh_statistics,
    masked_mean,
    masked_means,
    mean_and_deviation,
    merge_moments,
    standardise,
    update_statistics,
)
from opspo.estimators.ratios import effective_sample_size, kl_from_log_ratio
from opspo.estimators.stepwise import steps_since_start, stepwise_wis
from opspo.estimators.traces import discounted_sum, going_on, shifted, td_error

__all__ = [
    "Equation",
    "action_ratios",
    "advantages",
    "arrival_masses",
    "baselines",
    "discounted_sum",
    "draw_frequencies",
    "effective_sample_size",
    "fourier_features",
    "fresh_statistics",
    "going_on",
    "kernel_objective",
    "kl_from_log_ratio",
    "linear_equation",
    "linear_omega",
    "masked_mean",
    "masked_means",
    "mean_and_deviation",
    "merge_moments",
    "minimax_objective",
    "mixture_log_ratio",
    "positive_mean_one",
    "ratio_scopes",
    "residual_masses",
    "shifted",
    "solve_equation",
    "standardise",
    "steps_since_start",
    "stepwise_wis",
    "td_error",
    "trace_decays",
    "update_statistics",
    "value_targets",
]
