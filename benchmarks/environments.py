"""Environment steps per second: each engine alone, and training on it.

    python benchmarks/environments.py papers [--tasks smax/3s5z ...]
    python benchmarks/environments.py table
    python benchmarks/environments.py robot [--rounds 5]
    python benchmarks/environments.py groups [--tasks mamujoco/HalfCheetah-6x1 ...]

`papers` takes the paper's tasks at the paper's settings, OPSPO: the engine under random available
actions, then whole iterations (the first, which compiles, is not counted). `robot` times training
(MAPPO, layers of 64 without memory, 5 epochs, 32 environments) and Gymnasium-Robotics'
mamujoco_v1 alone in one process on HalfCheetah 6x1, in turn. `groups` collects the experience of
one iteration at the paper's settings (those of the library where it has none) with the environments
in 1, 2 and 4 groups, in turn. Results go to benchmarks/environments.json, robot.json, groups.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAPERS, ROBOT, GROUPS = (HERE / f"{name}.json" for name in ("environments", "robot", "groups"))
ENGINE_STEPS, ENGINE_ROUNDS = 50, 9
REFERENCE_SECONDS = 5.0
ITERATIONS = 3
ON_HOST = ("mamujoco/HalfCheetah-6x1", "mamujoco/Hopper-3x1", "pettingzoo/mpe2.simple_spread_v3")
COUNTS = (1, 2, 4)


def engine_rate(environment: Any, num_envs: int) -> float:
    """Steps per second of an engine under random actions, the median of some rounds."""
    from opspo.bench.engine import time_engine

    timing = time_engine(environment, num_envs, ENGINE_STEPS, ENGINE_ROUNDS)
    return num_envs * ENGINE_STEPS / timing.median


def training_seconds(config: Any, environment: Any, iterations: int) -> list[float]:
    """Of whole iterations; the first, which compiles, is left out."""
    from opspo.bench.training import time_iterations

    return list(time_iterations(config, environment, iterations)[0].seconds)


def papers(tasks: list[str]) -> None:
    """Measure; what was measured before is kept."""
    from opspo.environments import make_env
    from opspo.presets import preset_config
    from opspo.run_folder import package_versions

    found = json.loads(PAPERS.read_text())["tasks"] if PAPERS.exists() else {}
    for env in tasks:
        config, environment = preset_config("paper", env, "opspo"), make_env(env)
        num_envs = config.rollout.num_envs
        alone = engine_rate(environment, num_envs)
        # a football iteration is 24 whole matches
        iterations = 1 if env.startswith("football/") else ITERATIONS
        seconds = training_seconds(config, environment, iterations)
        found[env] = {
            "engine": environment.spec.engine,
            "num_envs": num_envs,
            "engine_steps_per_second": alone,
            "training_steps_per_second": config.steps_per_iteration / statistics.median(seconds),
            "iteration_seconds": seconds,
        }
        print(env, {k: round(v) for k, v in found[env].items() if k.endswith("second")}, flush=True)
        PAPERS.write_text(
            json.dumps({"tasks": found, "versions": package_versions()}, indent=1) + "\n"
        )


def table() -> None:
    """Print what was measured, as Markdown."""
    print("| task | environments | engine alone | training |")
    print("|---|---|---|---|")
    for env, row in json.loads(PAPERS.read_text())["tasks"].items():
        rates = row["engine_steps_per_second"], row["training_steps_per_second"]
        shown = " | ".join(f"{rate:,.0f}" for rate in rates)
        name = env.replace("|", r"\|")  # a bar would end the cell
        print(f"| `{name}` | {row['num_envs']} | {shown} |")


def reference_rate(seconds: float) -> float:
    """Steps per second of mamujoco_v1 in one process, random actions drawn beforehand."""
    import numpy as np
    from gymnasium_robotics import mamujoco_v1

    environment = mamujoco_v1.parallel_env("HalfCheetah", "6x1", agent_obsk=0)
    rng = np.random.default_rng(0)
    actions = [
        {agent: rng.uniform(-1, 1, 1).astype(np.float32) for agent in environment.possible_agents}
        for _ in range(1000)
    ]
    environment.reset(seed=0)
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds:
        *_, truncated, _ = environment.step(actions[steps % 1000])
        if any(truncated.values()):
            environment.reset()
        steps += 1
    environment.close()
    return steps / (time.perf_counter() - begin)


def robot(rounds: int) -> None:
    """Training beside mamujoco_v1 alone, in turn."""
    from opspo.config import RolloutConfig
    from opspo.environments import make_env
    from opspo.presets import default_config
    from opspo.run_folder import package_versions

    env = "mamujoco/HalfCheetah-6x1"
    config = default_config(env, "mappo")
    config = dataclasses.replace(
        config,
        rollout=RolloutConfig(num_envs=32, num_steps=100),
        algorithm=dataclasses.replace(config.algorithm, epochs=5),
    )
    environment, rows = make_env(env), []
    for _ in range(rounds):
        seconds = statistics.median(training_seconds(config, environment, 10))
        ours, theirs = config.steps_per_iteration / seconds, reference_rate(REFERENCE_SECONDS)
        engine = engine_rate(environment, config.rollout.num_envs)
        rows.append(
            {"engine": engine, "training": ours, "mamujoco_v1": theirs, "ratio": ours / theirs}
        )
        print({name: round(value, 2) for name, value in rows[-1].items()}, flush=True)
    ratio = statistics.median(row["ratio"] for row in rows)
    print(f"training runs at {ratio:.1f} times the rate of mamujoco_v1 alone")
    data: dict[str, Any] = {"rounds": rows, "ratio": ratio, "versions": package_versions()}
    ROBOT.write_text(json.dumps(data, indent=1) + "\n")


def collecting_config(env: str) -> Any:
    """The paper's settings, or the library's for a task that the paper has not."""
    from opspo.presets import default_config, preset_config
    from opspo.presets.paper import tasks

    return preset_config("paper", env, "opspo") if env in tasks() else default_config(env, "opspo")


@contextmanager
def collecting(config: Any, count: int) -> Iterator[Callable[[], Any]]:
    """A function that collects an iteration's experience with so many groups, and goes on."""
    import jax

    from opspo.bench.training import begin
    from opspo.environments import make_env
    from opspo.rollout import host

    environment, size = make_env(config.env), config.rollout
    learner, state = begin(config, environment)
    with host.opened(environment, size.num_envs, groups=count, seed=0) as batches:
        rollout = host.HostRollout(
            batches, learner.team, num_steps=size.num_steps, view=learner.critic.view
        )
        before = host.start(jax.device_get(state.rollout), batches)

        def collect() -> Any:
            nonlocal before
            before, trajectory = rollout.collect(state.actor, before, state.key)
            return trajectory

        yield collect


def groups(tasks: Sequence[str], rounds: int) -> None:
    """Collecting with several numbers of groups, in turn; what was measured before is kept."""
    from opspo.bench.measure import seconds_of
    from opspo.run_folder import package_versions

    found = json.loads(GROUPS.read_text())["tasks"] if GROUPS.exists() else {}
    for env in tasks:
        config = collecting_config(env)
        with ExitStack() as stack:
            calls = {n: stack.enter_context(collecting(config, n)) for n in COUNTS}
            for call in calls.values():
                call()  # compiles
            times = [{n: seconds_of(call) for n, call in calls.items()} for _ in range(rounds)]
        ratios = {n: statistics.median(row[1] / row[n] for row in times) for n in COUNTS}
        found[env] = {
            "rollout": dataclasses.asdict(config.rollout),
            "seconds": times,
            "times_as_fast_as_one": ratios,
        }
        print(env, {n: round(ratio, 2) for n, ratio in ratios.items()}, flush=True)
        GROUPS.write_text(
            json.dumps({"tasks": found, "versions": package_versions()}, indent=1) + "\n"
        )


def main() -> None:
    """Measure or print."""
    from opspo.presets.paper import tasks

    everything = [env for env in tasks() if not env.startswith("smac/")]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["papers", "table", "robot", "groups"])
    parser.add_argument("--tasks", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", ".jax_cache")
    commands: dict[str, Callable[[], None]] = {
        "papers": lambda: papers(arguments.tasks or everything),
        "table": table,
        "robot": lambda: robot(arguments.rounds),
        "groups": lambda: groups(arguments.tasks or ON_HOST, arguments.rounds),
    }
    commands[arguments.command]()


if __name__ == "__main__":
    main()
