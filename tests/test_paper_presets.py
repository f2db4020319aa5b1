"""The presets against the paper's tables and A2PO's public settings, typed anew.

Files and lines are those of A2PO-ICLR2023 (github.com/xihuai18) at c953380.
"""

from operator import attrgetter
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from opspo.algorithms import ALGORITHMS
from opspo.config import from_json, to_json
from opspo.errors import ConfigError
from opspo.policies.networks import Networks
from opspo.presets import preset_config
from opspo.update.compose import compose

M = 1_000_000

OPSPO_SMAC = {  # epochs, λ, ε1, ε2
    "8m_vs_9m": (15, 0.95, 0.2, 0.05),
    "5m_vs_6m": (10, 0.93, 0.1, 0.05),
    "3s5z": (10, 0.95, 0.2, 0.05),
    "10m_vs_11m": (10, 0.95, 0.2, 0.05),
    "MMM2": (10, 0.95, 0.2, 0.05),
    "3s5z_vs_3s6z": (8, 0.90, 0.2, 0.1),
    "27m_vs_30m": (8, 0.95, 0.2, 0.05),
    "6h_vs_8z": (8, 0.95, 0.2, 0.1),
    "corridor": (8, 0.95, 0.2, 0.1),
}
OPSPO_OTHERS = {  # epochs, λ, ε1, ε2, then ω_e, f_e, ω_n
    "mamujoco/Ant-8x1": ((8, 0.93, 0.2, 0.1), (10, 5, 20)),
    "mamujoco/Walker2d-6x1": ((8, 0.93, 0.2, 0.1), (10, 5, 20)),
    "mamujoco/Hopper-3x1": ((8, 0.95, 0.1, 0.05), (10, 5, 20)),
    "mamujoco/HalfCheetah-6x1": ((8, 0.93, 0.2, 0.1), (10, 5, 20)),
    "mamujoco/Humanoid-9|8": ((8, 0.90, 0.2, 0.05), (10, 5, 20)),
    "mamujoco/HumanoidStandup-9|8": ((8, 0.93, 0.2, 0.05), (10, 5, 20)),
    "football/5_vs_5": ((15, 0.95, 0.2, 0.1), (5, 5, 10)),
}
A2PO = {  # epochs, λ
    "3s5z": (8, 0.95),
    "MMM2": (5, 0.95),
    "corridor": (5, 0.95),
    "6h_vs_8z": (8, 0.99),
    "27m_vs_30m": (5, 0.95),
    "5m_vs_6m": (10, 0.93),
    "8m_vs_9m": (15, 0.95),
    "10m_vs_11m": (10, 0.97),
    "3s5z_vs_3s6z": (5, 0.90),
    "Ant-8x1": (8, 0.93),
    "Walker2d-6x1": (5, 0.93),
    "Hopper-3x1": (8, 0.95),
    "HalfCheetah-6x1": (5, 0.93),
    "Humanoid-9|8": (5, 0.90),
    "HumanoidStandup-9|8": (8, 0.93),
    "5_vs_5": (10, 0.95),
}
# MAPPO, CoPPO, HAPPO; by suite, then the tasks that differ
OTHER_EPOCHS = {"smac": 5, "mamujoco": 5, "football": 10} | {
    "5m_vs_6m": 10,
    "10m_vs_11m": 10,
    "8m_vs_9m": 15,
}
OTHER_LAMBDA = 0.95
CLIP = {"smac": 0.2, "mamujoco": 0.2, "football": 0.25} | {
    "5m_vs_6m": 0.05,
    "8m_vs_9m": 0.05,
    "Hopper-3x1": 0.1,
}
ENVS_AND_STEPS = {  # SMAC: 3200 steps an iteration, MA-MuJoCo: 4000, football: an episode of each
    "smac": (10, 320),
    "5m_vs_6m": (16, 200),
    "mamujoco": (16, 250),
    "Ant-8x1": (25, 160),
    "Humanoid-9|8": (25, 160),  # humanoid.sh sets no number: as Ant
    "football": (24, 3000),
}
TOTAL_STEPS = {"smac": 10 * M, "6h_vs_8z": 15 * M, "mamujoco": 10 * M, "football": 100 * M}
LEARNING_RATE = {"smac": 5e-4, "mamujoco": 3e-4, "Hopper-3x1": 1e-4, "football": 5e-4}
MINIBATCHES = {"smac": 1, "MMM2": 2, "mamujoco": 1, "football": 1}
RECURRENT = {"smac": True, "6h_vs_8z": False, "corridor": False, "mamujoco": True, "football": True}
OUTPUT_GAIN = {"smac": 0.01, "MMM2": 1.0, "mamujoco": 0.01, "football": 0.01}
BLOCKS = {"smac": 2, "3s5z": 3, "27m_vs_30m": 3, "8m_vs_9m": 5}
# A2PO-ICLR2023, onpolicy/algorithms/r_mappo/r_mappo.py, sequential_train: ceil(ppo_epoch /
# block_num) rounds over block_num blocks. Agents, then stages of opspo, a2po, happo: a gradient
# step each, but on MMM2 two, one for each minibatch.
STAGES = {
    "8m_vs_9m": (8, 15, 15, 15),
    "5m_vs_6m": (5, 10, 10, 10),
    "3s5z": (8, 12, 9, 6),
    "10m_vs_11m": (10, 10, 10, 10),
    "MMM2": (10, 10, 6, 6),
    "3s5z_vs_3s6z": (8, 8, 6, 6),
    "27m_vs_30m": (27, 9, 6, 6),
    "6h_vs_8z": (6, 8, 8, 6),
    "corridor": (6, 8, 6, 6),
}
GAMMA = {"smac": 0.99, "mamujoco": 0.99, "football": 0.995}
ENTROPY = {"smac": 0.01, "mamujoco": 0.0, "football": 0.001}
# onpolicy/algorithms/utils/mlp.py, 25 and 35: one layer and layer_N = 2 more (smac.yaml, 14, and
# every other task's entry); rnn.py, 50 and 56: layer_after_N = 1 after a GRU. Width 64:
# onpolicy/config.py, 271; football's 128: grf.yaml, 26
WIDTH = {"smac": 64, "mamujoco": 64, "football": 128}
# use_two_stage in the line "# A2PO" of run_scripts/SMAC/*.sh, MUJOCO/*.sh and GRF/5_vs_5.sh; not
# in 3s5z_vs_3s6z.sh, 39, nor in 6h_vs_8z.sh, 38
TWO_STAGE = {"3s5z_vs_3s6z": False, "6h_vs_8z": False}
# grf.yaml, 29: use_centralized_V: False. OPSPO's Algorithm 1 has one V of the state
LOCAL_CRITIC = {"smac": False, "mamujoco": False, "football": True}
# onpolicy/utils/valuenorm.py, 16 and 49, updated at each step: r_mappo.py, 152; dead agents count:
# onpolicy/config.py, 474
VALUE = {
    "normalise": True,
    "statistics": "step",
    "decay": 0.99999,
    "least_deviation": 0.1,
    "mask_dead": False,
    "huber_delta": 10.0,
}
# r_mappo.py, 1231 (clip_param_weight_rp in every "# A2PO" of SMAC/*.sh, in none of the separate
# parameters' ones); shared_buffer.py, 473 and 483; r_mappo.py, 1279
A2POS_OWN = {"trace_decay": "twice", "trace_agents": "all", "advantage": "trace"}
# shared_buffer.py, 590: np.copyto into returns[:-1, :, agent_ids], a copy since that index is an
# array; the generators (746, 933) read `returns`, which keeps collection's GAE returns
A2POS_OWN |= {"value_target": "gae"}
# clip_before_prod in the lines "# HAPPO": 5m_vs_6m.sh, 36; 8m_vs_9m.sh, 39; GRF/5_vs_5.sh, 66; its
# default is False, config.py, 626, and then r_mappo.py, 676, clips the product of the ratios
CLIPS_OWN_RATIO = {"5m_vs_6m", "8m_vs_9m", "5_vs_5"}
HAPPO_ORDER = {"Walker2d-6x1": "greedy"}  # MUJOCO/walker2d.sh, 44; elsewhere random

ENVS = [f"{suite}/{task}" for suite in ("smac", "smax") for task in OPSPO_SMAC] + [*OPSPO_OTHERS]
by_env = pytest.mark.parametrize("env", ENVS)
by_algo = pytest.mark.parametrize("algo", ["opspo", "a2po", "happo", "coppo", "mappo", "ippo"])


def expected_of_task(env):
    suite, task = env.replace("smax/", "smac/").split("/")

    def of(table):
        return table.get(task, table.get(suite))

    num_envs, num_steps = of(ENVS_AND_STEPS)
    expected = {
        "rollout.num_envs": num_envs,
        "rollout.num_steps": num_steps,
        "steps_per_iteration": {"smac": 3200, "mamujoco": 4000, "football": 72_000}[suite],
        "total_steps": of(TOTAL_STEPS),
        "policy.share_parameters": suite == "smac",
        "policy.hidden_sizes": (of(WIDTH), of(WIDTH), of(WIDTH)),
        "policy.output_sizes": (of(WIDTH),) if of(RECURRENT) else (),
        "policy.layer_norm": True,
        "policy.activation": "relu",
        "policy.recurrent": of(RECURRENT),
        "chunk_length": 10 if of(RECURRENT) else 1,
        "policy.output_gain": of(OUTPUT_GAIN),
        "optimiser.actor_learning_rate": of(LEARNING_RATE),
        "optimiser.critic_learning_rate": of(LEARNING_RATE),
        "optimiser.adam_epsilon": 1e-5,
        "optimiser.max_grad_norm": 10.0,
        "algorithm.gamma": of(GAMMA),
        "algorithm.minibatches": of(MINIBATCHES),
        "algorithm.entropy_coefficient": of(ENTROPY),
    }
    expected |= {f"value.{name}": value for name, value in VALUE.items()}
    return expected | ({"policy.initial_log_std": -0.5} if suite == "mamujoco" else {})


def expected_of_algorithm(env, algo):
    suite, task = env.replace("smax/", "smac/").split("/")
    clip = CLIP.get(task, CLIP[suite])
    numbers = (OTHER_EPOCHS.get(task, OTHER_EPOCHS[suite]), OTHER_LAMBDA, clip, clip / 2)
    more = {"state_weight": "none"}
    more["critic"] = "local" if algo == "ippo" or LOCAL_CRITIC[suite] else "central"
    more |= {"action_ratio": "product", "extra_critic_passes": 0, "critic_epochs": 0}
    if algo == "a2po":
        numbers = (*A2PO[task], clip, clip / 2)
        more |= A2POS_OWN | {"extra_critic_passes": int(TWO_STAGE.get(task, True))}
        more["clip_range"] = f"double_by_{'ratios' if suite == 'smac' else 'position'}"
    if algo == "happo":
        more["clip_range"] = "ratio" if task in CLIPS_OWN_RATIO else "joint"
        more["order"] = HAPPO_ORDER.get(task, "random")
    if algo == "opspo":
        # Section 5: the mean of the dimensions' ratios; Algorithm 1: one V, a step with each
        # agent's. No public code: traces, orders and ranges are this project's readings
        more |= {"action_ratio": "mean", "critic": "central", "trace_decay": "factor"}
        more |= {"trace_agents": "others", "clip_range": "corrected", "order": "semi_greedy"}
    if algo == "opspo" and suite == "smac":
        numbers, more = OPSPO_SMAC[task], more | {"state_weight": "stepwise"}
    elif algo == "opspo":
        numbers, density = OPSPO_OTHERS[env]
        names = ("density.outer_steps", "density.inner_steps", "density.iterations")
        more |= {"state_weight": "minimax"} | dict(zip(names, density, strict=True))
    if algo in ("opspo", "a2po", "happo") and suite == "smac":
        more |= {"blocks": BLOCKS.get(task, BLOCKS["smac"]), "cumulative_blocks": True}
        more |= {"block_epochs": "divided"}
    names = ("epochs", "gae_lambda", "clip", "others_clip")
    expected = dict(zip(names, numbers, strict=True)) | more
    return {f"algorithm.{name}": value for name, value in expected.items()}


def test_fourteen_of_sixteen_tasks_have_the_two_stage_critic():
    envs = [env for env in ENVS if not env.startswith("smax/")]
    passes = [preset_config("paper", env, "a2po").algorithm.extra_critic_passes for env in envs]
    assert (len(passes), sum(passes)) == (16, 14)


def test_every_algorithm_is_in_the_tables():
    assert set(by_algo.args[1]) == set(ALGORITHMS)


@by_algo
@by_env
def test_paper_settings(env, algo):
    config = preset_config("paper", env, algo)
    expected = expected_of_task(env) | expected_of_algorithm(env, algo)
    assert {name: attrgetter(name)(config) for name in expected} == expected
    assert (config.env, config.algo, type(config.algorithm).name) == (env, algo, algo)
    assert config.value.clip > 0, "the value is clipped"
    assert from_json(to_json(config)) == config


@pytest.mark.parametrize("task", OPSPO_SMAC)
def test_stages_of_the_public_code(task):
    agents, *expected = STAGES[task]
    team = SimpleNamespace(num_members=agents, shared=True)
    found = []
    for algo in ("opspo", "a2po", "happo"):
        config = preset_config("paper", f"smac/{task}", algo).algorithm
        algorithm = compose(config, Networks(team=team, critic=None, chunk_length=1))
        plan = jax.eval_shape(algorithm.schedule, jax.random.PRNGKey(0), jnp.zeros(agents))
        found.append(plan.agents.shape[0] * plan.epochs)
    assert found == expected


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ("smax/3m", "MMM2"),
        ("smac/3m", "MMM2"),
        ("smac/Ant-8x1", "MMM2"),
        ("mamujoco/Ant-4x2", "Ant-8x1"),
        ("mamujoco/Humanoid", "Humanoid-9|8"),
        ("football/11_vs_11", "5_vs_5"),
        ("mpe/spread", "5_vs_5"),
    ],
)
def test_task_without_paper_settings(env, named):
    with pytest.raises(ConfigError) as error:
        preset_config("paper", env, "opspo")
    assert env in str(error.value)
    assert named in str(error.value)


def test_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match="Did you mean 'paper'"):
        preset_config("papr", "smax/MMM2", "opspo")


def test_literal_readings():
    algorithm = preset_config("literal", "smax/3m", "opspo").algorithm
    assert (algorithm.advantage, algorithm.value_target) == ("td", "printed")
    assert (algorithm.state_weight, algorithm.order) == ("stepwise_printed", "cyclic")
    assert (algorithm.values, algorithm.action_ratio) == ("anew", "mean")


def test_literal_is_refused_for_an_algorithm_that_it_does_not_read():
    with pytest.raises(ConfigError, match="mappo"):
        preset_config("literal", "smax/3m", "mappo")
