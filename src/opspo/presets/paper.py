"""The paper's settings: Tables 2 to 4, and A2PO's public ones for what they leave out.

Table 2 is SMAC (and here, for maps of the same name, SMAX), Table 3 MA-MuJoCo, Table 4 Google
Research Football. Their column "γ" is λ (erratum E1). "Parameters not mentioned are A2PO's": those
of A2PO-ICLR2023 at c953380, where its code has the baselines too; the settings of an algorithm are
those of the line "# A2PO", "# HAPPO" … of the script for the task. docs/paper.md says where that
code differs from the papers, and which of the two is taken. What neither says is as in
`written`: among it λ = 0.95 for MAPPO, CoPPO and HAPPO.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from opspo.algorithms import ALGORITHMS, AlgorithmConfig
from opspo.config import PolicyConfig, TrainConfig
from opspo.errors import ConfigError, unknown_name
from opspo.presets.paper_tables import FAMILIES, Family, Row
from opspo.presets.written import written_out


def tasks() -> tuple[str, ...]:
    """The environments that have a row."""
    return tuple(f"{name}/{task}" for name, family in FAMILIES.items() for task in family.rows)


def paper(env: str, algo: str) -> TrainConfig:
    """The paper's settings for a task and an algorithm.

    Raises:
        ConfigError: the paper has no such task, or there is no such algorithm.
    """
    if algo not in ALGORITHMS:
        raise unknown_name("algorithm", algo, ALGORITHMS)
    if env not in tasks():
        raise ConfigError(
            f"preset: the paper has no settings for env '{env}'. It has some for "
            f"{', '.join(tasks())}. `opspo envs` lists what can be run."
        )
    name, task = env.split("/", 1)
    family = FAMILIES[name]
    row, base = family.rows[task], written_out(env, algo)
    algorithm = _algorithm(base.algorithm, family, row)
    return replace(
        base,
        total_steps=row.total_steps,
        rollout=replace(
            base.rollout,
            num_envs=row.num_envs,
            num_steps=family.steps_per_iteration // row.num_envs,
        ),
        policy=_policy(base.policy, family, row),
        optimiser=replace(
            base.optimiser,
            actor_learning_rate=row.learning_rate,
            critic_learning_rate=row.learning_rate,
        ),
        # A2PO's public code bounds the critic's move by the policy's ε, and has MAPPO's ValueNorm
        value=replace(
            base.value,
            clip=algorithm.clip,
            statistics="step",
            decay=0.99999,
            least_deviation=0.1,
            mask_dead=False,
        ),
        algorithm=algorithm,
    )


def _policy(base: PolicyConfig, family: Family, row: Row) -> PolicyConfig:
    return replace(
        base,
        share_parameters=family.shared,
        # MLPLayer is one layer and layer_N = 2 more, RNNLayer ends in layer_after_N = 1
        hidden_sizes=(family.width,) * 3,
        recurrent=row.recurrent,
        output_sizes=(family.width,) if row.recurrent else (),
        output_gain=row.output_gain,
        # each vector over its own features; the observation tells agents apart, or is SMAC's
        # own, where A2PO appends the number and the last action
        layer_norm=True,
        running_normalisation=False,
        agent_id=False,
    )


def _algorithm(base: AlgorithmConfig, family: Family, row: Row) -> Any:
    baseline: dict[str, Any] = {
        "clip": row.baseline_clip,
        "others_clip": row.baseline_clip / 2,
        "critic": family.baseline_critic,
    }
    density = replace(
        base.density, outer_steps=family.outer_steps, inner_steps=5, iterations=family.iterations
    )
    own: dict[str, dict[str, Any]] = {
        "opspo": {
            "epochs": row.epochs,
            "gae_lambda": row.gae_lambda,
            "clip": row.clip,
            "others_clip": row.others_clip,
            "action_ratio": "mean",  # Section 5
            "state_weight": family.state_weight,
            "density": density,
        },
        "a2po": baseline | _a2po(family, row),
        "happo": baseline | _happo(row),
        "ippo": baseline | {"epochs": row.baseline_epochs, "critic": "local"},
    }
    changes: dict[str, Any] = {
        "gamma": family.gamma,
        "entropy_coefficient": family.entropy_coefficient,
        "minibatches": row.minibatches,
        **own.get(base.name, baseline | {"epochs": row.baseline_epochs}),
    }
    if base.sequential:
        # sequential_train of A2PO's public code, onpolicy/algorithms/r_mappo/r_mappo.py; HAPPO's
        # critic, too, takes a step with each of the agents' there (HARL trains it after all)
        changes |= {"blocks": row.blocks, "block_epochs": "divided"}
    return replace(base, **changes)


def _happo(row: Row) -> dict[str, Any]:
    """HAPPO as A2PO's public code runs it."""
    return {
        "epochs": row.baseline_epochs,
        "order": row.happo_order,
        "clip_range": "ratio" if row.happo_clips_own_ratio else "joint",
    }


def _a2po(family: Family, row: Row) -> dict[str, Any]:
    """What A2PO alone has, as in its public code and scripts."""
    epochs, gae_lambda = row.a2po
    return {
        "epochs": epochs,
        "gae_lambda": gae_lambda,
        "extra_critic_passes": int(row.two_stage),
        "trace_decay": "twice",  # no line "# A2PO" sets speedup_trace
        "trace_agents": "all",
        # its new targets are written into a copy: the critic learns the returns of collection
        "value_target": "gae",
        # clip_param_weight_rp, with shared parameters
        "clip_range": "double_by_ratios" if family.shared else "double_by_position",
    }
