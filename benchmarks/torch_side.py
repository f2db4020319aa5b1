"""Updates here beside the PyTorch ones of HARL (HAPPO) and of A2PO's authors, in turn on one CPU.

    git clone https://github.com/PKU-MARL/HARL
    git clone https://github.com/xihuai18/A2PO-ICLR2023
    python -m venv torch && torch/bin/pip install torch gym pyyaml absl-py setproctitle tensorboardX
    python benchmarks/torch_side.py --harl HARL --a2po A2PO-ICLR2023 --python torch/bin/python

An update is all that follows the collection of a batch: returns and advantages, every agent's
epochs in turn, its ratios anew, the critic's epochs. Each side gets the same batch of noise, in
which no episode ends (the peers cut their recurrent networks at ends, which costs them), with the
same networks, epochs and single minibatch, in a process of its own: first an update that does not
count (ours compiles in it; in football the peers' half minutes count from the first), then those
that do. The peers are timed with one thread and with all cores, and the better one is taken;
ours divides the environments over `--devices` CPU devices, one for each core. Denormal numbers are
flushed to zero for the peers, as XLA does.

The settings are the paper's, on the shapes of HalfCheetah-6x1 (16 environments × 250 steps, with
and without GRU) and of football 5_vs_5 (whole matches of 3,000 steps; 4 environments in place of
24 for the sake of the peer's time and of its T × T traces). Epochs are those of A2PO's scripts,
and its pass of the critic alone before each epoch is made on both sides. What differs all the same:

- HARL trains the critic once, after all agents; ours takes a step with every step of an agent. So
  ours is also timed with HARL's way (`algorithm.critic_epochs`: "critic apart"), which makes the
  steps the same, and HARL with as many steps of the critic as ours ("equal steps").
- A2PO's code keeps a critic for each agent; ours is one, and takes as many steps as they together.
- The peers' layer norms have scales and offsets. A2PO's third layer and the one behind its GRU are
  left out, and its critic sees the state in football, too.
- Ours evaluates the critic along the batch as part of the update; the peers do so in collecting.
- OPSPO is with the paper's minimax state weights, which A2PO does not have.

Beside the seconds stand the operations in each side's matrix products (`gflop`), the machine's rate
in a large one, and each process's peak of memory (ours with that of compiling, unless
JAX_COMPILATION_CACHE_DIR has it done). Results go to benchmarks/torch_side.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from peers.arithmetic import gflop
from peers.batch import Settings

OUT = Path(__file__).parent / "torch_side.json"


@dataclass(frozen=True)
class Case:
    """A task's shapes."""

    env: str
    recurrent: bool = True
    num_envs: int = 0
    """0: the paper's"""
    updates: int = 3
    """timed in each process"""


CASES = {
    "cheetah": Case("mamujoco/HalfCheetah-6x1"),
    "cheetah_without_gru": Case("mamujoco/HalfCheetah-6x1", recurrent=False),
    "football": Case("football/5_vs_5", num_envs=4, updates=1),
}


@dataclass(frozen=True)
class Side:
    """Somebody's update."""

    code: Literal["harl", "a2po", "opspo"]
    algo: str
    """here; whose settings it takes for a peer"""
    critic_apart: bool = False
    """the critic is trained after all agents"""
    equal_steps: bool = False
    """that, for as many steps as if it took one with each of theirs"""


SIDES = {
    "HARL HAPPO": Side("harl", "happo", critic_apart=True),
    "our HAPPO, critic apart": Side("opspo", "happo", critic_apart=True),
    "our HAPPO": Side("opspo", "happo"),
    "HARL HAPPO, equal steps": Side("harl", "happo", critic_apart=True, equal_steps=True),
    "public A2PO": Side("a2po", "a2po"),
    "our A2PO": Side("opspo", "a2po"),
    "our OPSPO": Side("opspo", "opspo"),
}
PAIRS = (
    ("our HAPPO, critic apart", "HARL HAPPO"),
    ("our HAPPO", "HARL HAPPO"),
    ("our HAPPO", "HARL HAPPO, equal steps"),
    ("our A2PO", "public A2PO"),
    ("our OPSPO", "public A2PO"),
)


def settings_of(case: Case, side: Side) -> Settings:
    """What a side is given for a task: ours has the numbers of the peer beside it."""
    from peers.ours import paper_settings

    two_stage = side.algo != "happo"
    settings = paper_settings(
        case.env,
        "a2po" if two_stage else "happo",
        num_envs=case.num_envs,
        recurrent=case.recurrent,
        two_stage=two_stage,
    )
    passes = settings.epochs * (settings.num_agents if side.equal_steps else 1)
    return dataclasses.replace(settings, critic_apart=side.critic_apart, critic_epochs=passes)


def one(arguments: argparse.Namespace) -> None:
    """Measure one side in this process, and print it."""
    side, case = SIDES[arguments.one], CASES[arguments.cases[0]]
    given = json.loads(arguments.settings)
    settings = Settings(**given | {"hidden_sizes": tuple(given["hidden_sizes"])})
    row = (
        _ours(case, side, settings, arguments.devices)
        if side.code == "opspo"
        else _peer(arguments, case, settings)
    )
    row["seconds"] = min(statistics.median(times) for times in row["times"].values())
    row["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(row))


def _ours(case: Case, side: Side, settings: Settings, devices: int) -> dict[str, Any]:
    from peers.ours import make_update

    update = make_update(case.env, side.algo, settings, devices)
    update()
    return {"times": {"all": [_seconds(update) for _ in range(case.updates)]}}


def _peer(arguments: argparse.Namespace, case: Case, settings: Settings) -> dict[str, Any]:
    import torch
    from peers import a2po_code, harl

    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    if SIDES[arguments.one].code == "harl":
        update = harl.make_update(arguments.harl, settings)
    else:
        update = a2po_code.make_update(arguments.a2po, settings)
    if case.updates > 1:  # where one takes half a minute, the first is no slower
        update()
    times = {}
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        torch.set_num_threads(threads)
        times[f"{threads} threads"] = [_seconds(update) for _ in range(case.updates)]
    return {"times": times, "torch": torch.__version__}


def _seconds(update: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    update()
    return time.perf_counter() - begin


def measure(arguments: argparse.Namespace, case: str, name: str) -> dict[str, Any]:
    """One side in a process of its own."""
    side = SIDES[name]
    given = settings_of(CASES[case], side)
    settings = json.dumps(dataclasses.asdict(given))
    command = [sys.executable if side.code == "opspo" else arguments.python, __file__]
    command += ["--harl", str(arguments.harl), "--a2po", str(arguments.a2po), "--one", name]
    command += ["--cases", case, "--settings", settings, "--devices", str(arguments.devices)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name} on {case} failed:\n{done.stderr}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(
        f"  {name:24} {row['seconds']:8.3f} s {row['peak_memory_mib']:8.0f} MiB"
        f" {gflop(given, side.code) / row['seconds']:6.0f} GFLOP/s",
        flush=True,
    )
    return row


def ratios(sides: dict[str, dict[str, Any]]) -> dict[str, float]:
    """How many times as fast each of ours is as its peer, in one round."""
    return {
        f"{ours} / {peer}": sides[peer]["seconds"] / sides[ours]["seconds"]
        for ours, peer in PAIRS
        if ours in sides and peer in sides
    }


def compare(arguments: argparse.Namespace) -> None:
    """All tasks, in turn."""
    from opspo.bench.measure import product_rate
    from opspo.run_folder import package_versions

    found = json.loads(OUT.read_text())["cases"] if OUT.exists() else {}
    for case in arguments.cases:
        print(case, flush=True)
        found[case] = summary(
            case,
            [
                {name: measure(arguments, case, name) for name in arguments.sides}
                for _ in range(arguments.rounds)
            ],
        )
        for pair, ratio in found[case]["ratios"].items():
            print(f"{case}: {pair}: {ratio:.2f} times as fast", flush=True)
        result = {
            "cases": found,
            "matrix_product_gflops": product_rate() / 1e9,
            "peers": {peer.name: _commit(peer) for peer in (arguments.harl, arguments.a2po)},
            "versions": package_versions(),
        }
        OUT.write_text(json.dumps(result, indent=1) + "\n")


def summary(case: str, rounds: list[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Medians of a task's rounds, with what they are made of."""
    given = {name: settings_of(CASES[case], SIDES[name]) for name in rounds[0]}
    seconds = {name: statistics.median(row[name]["seconds"] for row in rounds) for name in given}
    work = {name: gflop(settings, SIDES[name].code) for name, settings in given.items()}
    by_round = [ratios(row) for row in rounds]
    return {
        "seconds": seconds,
        "ratios": {pair: statistics.median(row[pair] for row in by_round) for pair in by_round[0]},
        "gflop": work,
        "gflops": {name: work[name] / seconds[name] for name in given},
        "peak_memory_mib": {
            name: statistics.median(row[name]["peak_memory_mib"] for row in rounds)
            for name in given
        },
        "settings": {name: dataclasses.asdict(settings) for name, settings in given.items()},
        "rounds": rounds,
    }


def _commit(clone: Path) -> str:
    command = ["git", "-C", str(clone), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0] if __doc__ else None)
    parser.add_argument("--harl", type=Path, required=True, help="HARL's repository")
    parser.add_argument("--a2po", type=Path, required=True, help="A2PO's repository")
    parser.add_argument("--python", help="a Python with PyTorch and what the peers import")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--devices", type=int, default=2, help="CPU devices that ours divides")
    parser.add_argument("--one", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--settings", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
