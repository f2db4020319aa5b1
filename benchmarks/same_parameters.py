"""Whether two checkouts of the library learn the same: parameters after two iterations.

    python benchmarks/same_parameters.py record FILE.npz [--bits 64]
    python benchmarks/same_parameters.py compare BEFORE.npz AFTER.npz

Run `record` in each checkout. `compare` prints the largest difference for each algorithm, with
shared and with separate parameters, as a share of the largest parameter there.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys

import numpy as np

ENV = "probe/death"
"""Agents die and episodes end, and it computes in 64 bits."""

EXTRA = {
    "paper": {"state_weight": "linear", "advantage": "vtrace_next", "value_target": "printed"},
    "public": {"trace_decay": "twice", "trace_agents": "all", "value_target": "gae"},
    "running": {"trace_decay": "running", "weight_agents": "preceding"},
    "networks": {"state_weight": "minimax"},
    "joint": {"clip_range": "joint", "order": "reverse_semi_greedy"},
    "ratios": {"clip_range": "double_by_ratios", "block_epochs": "divided"},
}
"""Choices beside the algorithms' own, tried on OPSPO."""


def cases():
    from opspo.algorithms import ALGORITHMS

    for name, config in ALGORITHMS.items():
        for shared in (True, False):
            yield f"{name} {'shared' if shared else 'separate'}", name, config(epochs=2), shared
    for name, changes in EXTRA.items():
        config = dataclasses.replace(ALGORITHMS["opspo"](epochs=2), **changes)
        yield f"opspo {name}", "opspo", config, name not in ("networks",)


def record(path: str, bits: int) -> None:
    import jax

    jax.config.update("jax_enable_x64", bits == 64)
    from opspo.config import PolicyConfig, RolloutConfig, TrainConfig
    from opspo.environments import make_env
    from opspo.training.assembly import make_learner

    found = {}
    for case, algo, algorithm, shared in cases():
        config = TrainConfig(
            env=ENV,
            algo=algo,
            algorithm=algorithm,
            rollout=RolloutConfig(num_envs=4, num_steps=40),
            policy=PolicyConfig(share_parameters=shared, hidden_sizes=(16, 16)),
        )
        learner = make_learner(config, make_env(config.env))
        state, iterate = learner.init(3), jax.jit(learner.iterate)
        for _ in range(2):
            state, _ = iterate(state)
        leaves = jax.tree.leaves((state.actor, state.critic, state.state_weight))
        for index, leaf in enumerate(leaves):
            found[f"{case}/{index}"] = np.asarray(leaf)
        print(case, len(leaves), flush=True)
    np.savez(path, **found)


def compare(before: str, after: str) -> None:
    was, now = np.load(before), np.load(after)
    if set(was.files) != set(now.files):
        sys.exit(f"Not the same arrays: {sorted(set(was.files) ^ set(now.files))}")
    worst: dict[str, float] = {}
    for name in was.files:
        case = name.rpartition("/")[0]
        scale = max(np.abs(was[name]).max(initial=0), 1e-30)
        gap = np.abs(was[name].astype(float) - now[name].astype(float)).max(initial=0) / scale
        worst[case] = max(worst.get(case, 0.0), float(gap))
    for case, gap in worst.items():
        print(f"{case:24} {gap:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("path")
    recording.add_argument("--bits", type=int, choices=(32, 64), default=64)
    comparing = commands.add_parser("compare")
    comparing.add_argument("before")
    comparing.add_argument("after")
    arguments = parser.parse_args()
    if arguments.command == "record":
        record(arguments.path, arguments.bits)
    else:
        compare(arguments.before, arguments.after)


if __name__ == "__main__":
    main()
