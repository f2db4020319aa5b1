"""The listed tasks of each family, and how to install StarCraft II."""

from __future__ import annotations

PROBES = (
    "credit",
    "truncation",
    "termination",
    "masks",
    "death",
    "memory",
    "continuous",
    "coordination",
    "overshoot",
    "regulator",
)
SMAX_MAPS = (
    "3m",
    "2s3z",
    "3s5z",
    "3s5z_vs_3s6z",
    "3s_vs_5z",
    "5m_vs_6m",
    "6h_vs_8z",
    "8m",
    "8m_vs_9m",
    "10m_vs_11m",
    "25m",
    "27m_vs_30m",
    "MMM2",
    "corridor",
    "smacv2_5_units",
    "smacv2_10_units",
    "smacv2_20_units",
)
MAMUJOCO_TASKS = (
    "Ant-8x1",
    "HalfCheetah-6x1",
    "Hopper-3x1",
    "Humanoid-9|8",
    "HumanoidStandup-9|8",
    "Walker2d-6x1",
)
FOOTBALL_SCENARIOS = (
    "5_vs_5",
    "academy_3_vs_1_with_keeper",
    "academy_corner",
    "academy_counterattack_easy",
    "academy_counterattack_hard",
    "academy_empty_goal",
    "academy_empty_goal_close",
    "academy_pass_and_shoot_with_keeper",
    "academy_run_pass_and_shoot_with_keeper",
    "academy_run_to_score",
    "academy_run_to_score_with_keeper",
    "academy_single_goal_versus_lazy",
)
JAXMARL_TASKS = (
    "MPE_simple_spread_v3",
    "MPE_simple_reference_v3",
    "MPE_simple_speaker_listener_v4",
    "MPE_simple_facmac_3a_v1",
    "overcooked",
    "overcooked_v2",
    "hanabi",
    "switch_riddle",
)
SMAC_MAPS = (
    "8m_vs_9m",
    "5m_vs_6m",
    "3s5z",
    "10m_vs_11m",
    "MMM2",
    "3s5z_vs_3s6z",
    "27m_vs_30m",
    "6h_vs_8z",
    "corridor",
)
INSTALL_STARCRAFT = (
    "install StarCraft II with SMAC's maps, in ~/StarCraftII or in the folder that SC2PATH names, "
    "and SMAC from its repository, github.com/oxwhirl/smac (PyPI's 'smac' is another program). "
    "docs/environments/starcraft.md has instructions."
)
PETTINGZOO_MODULES = ("mpe2.simple_spread_v3",)
