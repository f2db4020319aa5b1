"""MAPPO-RNN here beside JaxMARL's own script, at JaxMARL's settings, in turn on one machine.

    git clone --branch v0.2.0 https://github.com/FLAIROx/JaxMARL
    python benchmarks/jaxmarl_side.py JaxMARL [--maps 3m 5m_vs_6m 3s5z] [--rounds 3]
    python benchmarks/jaxmarl_side.py JaxMARL --maps 3m --learn 0 1

Both train on `smax/<map>` with the networks, batch, epochs and minibatches of JaxMARL's MAPPO-RNN
(`--preset jaxmarl`). Each round runs JaxMARL, then ours, each in a process of its own, which
compiles first and then times whole iterations; the peak of its memory is the process's. JaxMARL's
logging through wandb and its hydra command line are left out, which takes no time off ours.
`--learn` trains both for a million steps on each of the seeds named and notes the win rates of the
sampled policies. Results go to benchmarks/jaxmarl_side.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import resource
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

OUT = Path(__file__).parent / "jaxmarl_side.json"
SCRIPT = "baselines/MAPPO/mappo_rnn_smax.py"
SETTINGS = "baselines/MAPPO/config/mappo_homogenous_rnn_smax.yaml"
ITERATIONS = 6
LEARNING_ITERATIONS = 61
LAST = 10
"""Iterations over which a final win rate is taken"""
STEPS = 128 * 128


class Run(NamedTuple):
    """What a side's training came to."""

    seconds: list[float]
    """of each iteration after the first"""
    wins: list[float]
    """win rate among the episodes that ended in each iteration"""


def jaxmarl_run(clone: Path, task: str, seed: int, iterations: int) -> Run:
    """JaxMARL's training; iterations are timed by when its log comes."""
    import jax

    times, wins = [], []

    def log(row: dict[str, Any]) -> None:
        times.append(time.perf_counter())
        wins.append(float(row["win_rate"]))

    script = _load(clone / SCRIPT, log=log)
    config = _settings(clone / SETTINGS) | {
        "MAP_NAME": task,
        "TOTAL_TIMESTEPS": iterations * STEPS,
    }
    jax.block_until_ready(jax.jit(script.make_train(config))(jax.random.PRNGKey(seed)))
    return Run([after - before for before, after in itertools.pairwise(times)], wins)


def _load(path: Path, log: Any) -> Any:
    """JaxMARL's script as a module, its logger and its command line replaced."""
    wandb, hydra, omegaconf = (types.ModuleType(name) for name in ("wandb", "hydra", "omegaconf"))
    wandb.__dict__["log"] = log
    hydra.__dict__["main"] = lambda **_: lambda function: function
    omegaconf.__dict__["OmegaConf"] = None
    sys.modules |= {"wandb": wandb, "hydra": hydra, "omegaconf": omegaconf}
    spec = importlib.util.spec_from_file_location("mappo_rnn_smax", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _settings(path: Path) -> dict[str, Any]:
    import yaml

    # YAML 1.1 takes 1e7 for a string
    found = yaml.safe_load(path.read_text())
    return {k: float(v) if k == "TOTAL_TIMESTEPS" else v for k, v in found.items()}


def our_run(task: str, seed: int, iterations: int, devices: int) -> Run:
    """Ours."""
    import dataclasses

    import jax

    from opspo.devices import claim
    from opspo.environments import make_env
    from opspo.presets import preset_config
    from opspo.training.assembly import make_learner
    from opspo.training.iteration import ready

    config = preset_config("jaxmarl", f"smax/{task}", "mappo")
    config = dataclasses.replace(config, total_steps=iterations * STEPS, devices=devices)
    claim(devices)
    learner = make_learner(config, make_env(config.env))
    times, wins = [], []
    with ready(learner, jax.jit(learner.init, static_argnums=0)(seed)) as (state, iterate):
        after = state
        for _ in range(iterations):
            begin = time.perf_counter()
            after, metrics = jax.block_until_ready(iterate(after))
            times.append(time.perf_counter() - begin)
            wins.append(float(metrics["episodes"]["win_rate"]))
    return Run(times[1:], wins)


def one(arguments: argparse.Namespace) -> None:
    """Measure one side in this process, and print it."""
    task, iterations = arguments.maps[0], ITERATIONS + 1
    seed, *_ = arguments.learn or [0]
    if arguments.learn:
        iterations = LEARNING_ITERATIONS
    if arguments.one == "jaxmarl":
        run = jaxmarl_run(arguments.clone, task, seed, iterations)
    else:
        run = our_run(task, seed, iterations, arguments.devices)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(run._asdict() | {"peak_memory_mib": memory}))


def measure(arguments: argparse.Namespace, side: str, task: str, *more: str) -> dict[str, Any]:
    """One side in a process of its own."""
    command = [sys.executable, __file__, str(arguments.clone), "--one", side, "--maps", task]
    command += ["--devices", str(arguments.devices), *more]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row | {"steps_per_second": STEPS / statistics.median(row["seconds"])}


def speed(arguments: argparse.Namespace, task: str) -> None:
    """Both sides in turn, several rounds."""
    rounds = []
    for _ in range(arguments.rounds):
        sides = {side: measure(arguments, side, task) for side in ("jaxmarl", "opspo")}
        for row in sides.values():
            del row["wins"]  # of too few iterations to say anything
        rates = {side: row["steps_per_second"] for side, row in sides.items()}
        rounds.append(sides | {"ratio": rates["opspo"] / rates["jaxmarl"]})
        print(task, {k: round(v) for k, v in rates.items()}, f"{rounds[-1]['ratio']:.2f}")
    ratio = statistics.median(row["ratio"] for row in rounds)
    print(f"{task}: {ratio:.2f} times JaxMARL's environment steps per second", flush=True)
    found = {"ratio": ratio, "devices": arguments.devices, "rounds": rounds}
    keep(["maps", task], found)


def learning(arguments: argparse.Namespace, task: str) -> None:
    """Win rates of both sides, by seed."""
    for seed in arguments.learn:
        for side in ("jaxmarl", "opspo"):
            wins = measure(arguments, side, task, "--learn", str(seed))["wins"]
            final = sum(wins[-LAST:]) / LAST
            print(task, side, seed, round(final, 3), flush=True)
            found = {"steps": LEARNING_ITERATIONS * STEPS, "final_win_rate": final, "curve": wins}
            keep(["learning", task, side, str(seed)], found)


def keep(place: Sequence[str], found: Any) -> None:
    """Put it there in the file; what was measured of others before stays."""
    from opspo.run_folder import package_versions

    result = json.loads(OUT.read_text()) if OUT.exists() else {}
    *above, last = place
    inner = result
    for name in above:
        inner = inner.setdefault(name, {})
    inner[last] = found
    result["versions"] = package_versions()
    OUT.write_text(json.dumps(result, indent=1) + "\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("clone", type=Path, help="JaxMARL's repository")
    parser.add_argument("--maps", nargs="+", default=["3m", "5m_vs_6m", "3s5z"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--devices", type=int, default=2, help="CPU devices that ours divides")
    parser.add_argument("--learn", type=int, nargs="*", metavar="SEED", help="a million steps each")
    parser.add_argument("--one", choices=["jaxmarl", "opspo"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments)
    else:
        for task in arguments.maps:
            (learning if arguments.learn else speed)(arguments, task)


if __name__ == "__main__":
    main()
