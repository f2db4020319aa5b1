"""The speed of all six algorithms on one task, at the same epochs and at equal gradient steps.

    python benchmarks/family.py [--env smax/2s3z]

What they learn is the study `studies/family.toml`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

ALGORITHMS = ("mappo", "ippo", "coppo", "happo", "a2po", "opspo")
VARIANTS = ("", "equal_steps")


def config_of(env: str, algo: str, variant: str) -> Any:
    """The settings; None where the variant changes nothing."""
    from opspo.environments import make_env
    from opspo.presets import default_config, variant_config

    config = default_config(env, algo)
    if not variant:
        return config
    num_agents = make_env(env).spec.num_agents
    varied = variant_config(variant, config, num_agents=num_agents)
    return None if varied == config else varied


def speed(env: str, rounds: int = 9) -> None:
    """Environment steps per second of whole iterations, in turn; to benchmarks/family_speed.json.

    Everything is compiled before, and the first round is not counted.
    """
    import statistics
    import time

    import jax

    from opspo.devices import compiler_options
    from opspo.environments import make_env
    from opspo.run_folder import package_versions
    from opspo.training.assembly import make_learner

    cases = {
        f"{algo} {variant}".strip(): config
        for algo in ALGORITHMS
        for variant in VARIANTS
        if (config := config_of(env, algo, variant)) is not None
    }
    iterations, states, steps = {}, {}, 0
    for case, config in cases.items():
        learner = make_learner(config, make_env(env))
        states[case] = jax.jit(learner.init, static_argnums=0)(0)
        iterate = jax.jit(learner.iterate, donate_argnums=0, compiler_options=compiler_options())
        iterations[case] = iterate.lower(states[case]).compile()
        steps = config.steps_per_iteration
    seconds: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(rounds + 1):
        for case in cases:
            begin = time.perf_counter()
            states[case], _ = jax.block_until_ready(iterations[case](states[case]))
            seconds[case].append(time.perf_counter() - begin)
    found = {case: steps / statistics.median(times[1:]) for case, times in seconds.items()}
    for case, rate in found.items():
        print(f"{case:18} {rate:,.0f} steps/s")
    data = {"env": env, "steps_per_second": found, "seconds": seconds}
    out = Path(__file__).parent / "family_speed.json"
    out.write_text(json.dumps(data | {"versions": package_versions()}, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", default="smax/2s3z")
    speed(parser.parse_args().env)
