"""How the cost of an update grows: over agents, horizon, environments and epochs.

    python benchmarks/growth.py run [--axes agents horizon environments epochs trace]
    python benchmarks/growth.py plot docs/figures/growth.png

Time and memory of OPSPO's update on a team of any size, each of whose agents sees the same number
of features, with small recurrent networks; and of the preceding-agent trace, by the scan of
`estimators/advantages.py` and by the T × T matrix that its equation suggests. Memory is what the
compiled program asks for: arguments, results and temporaries. Exponents are the slopes of the
upper half of each line, by least squares in logarithms. Results go to benchmarks/growth.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from opspo.algorithms import ALGORITHMS
from opspo.bench.measure import seconds_of
from opspo.bench.training import batch_of, begin
from opspo.config import PolicyConfig, RolloutConfig, TrainConfig
from opspo.devices import compiler_options
from opspo.environments.base import Observation
from opspo.environments.probe import Probe, nothing, spec
from opspo.estimators.advantages import trace
from opspo.estimators.traces import td_error
from opspo.run_folder import package_versions
from opspo.types import Array

OUT = Path(__file__).parent / "growth.json"
ROUNDS = 9
BASE = {"agents": 5, "horizon": 100, "environments": 8, "epochs": 2}
AXES: dict[str, tuple[int, ...]] = {
    "agents": (3, 5, 8, 12, 16, 20, 24, 27),
    "horizon": (100, 200, 400, 800, 1500, 3000),
    "environments": (4, 8, 16, 32, 64, 128),
    "epochs": (1, 2, 4, 8, 16, 32),
}
"""What is varied, the rest as in `BASE`"""
TRACE_HORIZONS = (100, 200, 400, 800, 1500, 3000)
TRACE_ENVIRONMENTS = 32
FEATURES, ACTIONS = 16, 6


def team_of(num_agents: int) -> Probe:
    """A game that does nothing much, whose observations and state do not grow with the team."""

    def observe(state: dict[str, Array]) -> Observation:
        wave = jnp.sin(jnp.arange(FEATURES) * (1 + state["draw"][:, None]) + state["t"])
        return Observation(
            observation=wave,
            state=wave.mean(0),
            available_actions=jnp.ones((num_agents, ACTIONS), bool),
            alive=jnp.ones(num_agents, bool),
        )

    def update(state: dict[str, Array], action: Array) -> tuple[dict[str, Array], Array, Array]:
        return state, (action == state["t"] % ACTIONS).mean(), jnp.array(False)

    sizes = spec("growth", FEATURES, 50, num_actions=ACTIONS, num_agents=num_agents)
    return Probe(sizes, 0.0, nothing, observe, update)


def configure(sizes: dict[str, int], *, shared: bool) -> TrainConfig:
    """OPSPO with small networks; the environment that it names is not looked at."""
    return TrainConfig(
        env="probe/credit",
        algo="opspo",
        rollout=RolloutConfig(num_envs=sizes["environments"], num_steps=sizes["horizon"]),
        policy=PolicyConfig(
            share_parameters=shared, hidden_sizes=(32,), recurrent=True, chunk_length=10
        ),
        algorithm=ALGORITHMS["opspo"](epochs=sizes["epochs"]),
    )


def cost(function: Callable[..., Any], *arguments: Any) -> dict[str, float]:
    """Seconds of a call, in the median, and bytes of the compiled program."""
    compiled = jax.jit(function, compiler_options=compiler_options()).lower(*arguments).compile()
    sizes = compiled.memory_analysis()
    seconds_of(lambda: compiled(*arguments))
    return {
        "seconds": statistics.median(
            seconds_of(lambda: compiled(*arguments)) for _ in range(ROUNDS)
        ),
        "bytes": sizes.temp_size_in_bytes
        + sizes.argument_size_in_bytes
        + sizes.output_size_in_bytes,
    }


def update_cost(sizes: dict[str, int], *, shared: bool) -> dict[str, float]:
    """Of the learning of one iteration."""
    learner, state = begin(configure(sizes, shared=shared), team_of(sizes["agents"]))
    return cost(learner.learn, state, batch_of(learner, state), state.key)


def trace_by_matrix(delta: Array, log_ratio: Array, *, gamma: float, gae_lambda: float) -> Array:
    """A_t = δ_t + Σ_k γ^k (Π_{j=1..k} λ min(1, r_{t+j})) δ_{t+k}, all pairs of steps at once.

    Episodes do not end here. `delta` and `log_ratio` are [T, E].
    """
    factor = math.log(gamma * gae_lambda) + jnp.minimum(log_ratio, 0.0)
    # the product over j = 1..k, from sums up to each of the two steps
    total = jnp.cumsum(factor, axis=0)
    product = jnp.exp(total[None] - total[:, None])
    later = jnp.tri(len(delta), dtype=bool).T[:, :, None]
    return jnp.einsum("tse,se->te", jnp.where(later, product, 0.0), delta)


def traces(horizon: int) -> dict[str, Callable[[], dict[str, float]]]:
    """The same trace by both ways, on random data."""
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    shape = (horizon, TRACE_ENVIRONMENTS)
    reward, value, following = (jax.random.normal(key, shape) for key in keys[:3])
    log_ratio = 0.2 * jax.random.normal(keys[3], shape)
    numbers = {"gamma": 0.99, "gae_lambda": 0.95}

    def scan(reward: Array, value: Array, following: Array, log_ratio: Array) -> Array:
        never = jnp.zeros(shape, bool)
        return trace(reward, value, following, never, log_ratio, **numbers)

    def matrix(reward: Array, value: Array, following: Array, log_ratio: Array) -> Array:
        delta = td_error(reward, value, following, gamma=numbers["gamma"])
        return trace_by_matrix(delta, log_ratio, **numbers)

    arguments = reward, value, following, log_ratio
    return {
        "scan": lambda: cost(scan, *arguments),
        "matrix": lambda: cost(matrix, *arguments),
    }


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Slope of log y over log x in the upper half of the points, by least squares."""
    upper = slice(len(x) // 2, None)
    return statistics.linear_regression(
        [math.log(v) for v in x[upper]], [math.log(v) for v in y[upper]]
    ).slope


def line(x: Sequence[int], points: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Columns for one line of the figure, with its exponents."""
    found: dict[str, Any] = {"x": list(x)}
    for name in ("seconds", "bytes"):
        column = [point[name] for point in points]
        found |= {name: column, f"{name}_exponent": exponent(x, column)}
    return found


def measured(axis: str) -> dict[str, dict[str, Any]]:
    """The lines of one axis, or of the trace."""
    if axis == "trace":
        return {
            f"trace by {way}": line(
                TRACE_HORIZONS, [traces(horizon)[way]() for horizon in TRACE_HORIZONS]
            )
            for way in ("scan", "matrix")
        }
    return {
        f"{axis}, {'shared' if shared else 'separate'} parameters": line(
            AXES[axis],
            [update_cost(BASE | {axis: value}, shared=shared) for value in AXES[axis]],
        )
        for shared in (False, True)
    }


def run(axes: Sequence[str]) -> None:
    """Measure and print exponents; what was measured before of other axes is kept."""
    lines = json.loads(OUT.read_text())["lines"] if OUT.exists() else {}
    for axis in axes:
        found = measured(axis)
        for name, columns in found.items():
            time, memory = columns["seconds_exponent"], columns["bytes_exponent"]
            print(f"{name}: time {time:.2f}, memory {memory:.2f}", flush=True)
        lines |= found
        settings = {"base": BASE, "rounds": ROUNDS, "trace_environments": TRACE_ENVIRONMENTS}
        config = dataclasses.asdict(configure(BASE, shared=False))
        data = settings | {"config": config, "lines": lines, "versions": package_versions()}
        OUT.write_text(json.dumps(data, indent=1) + "\n")


def plot(path: str) -> None:
    """Four panels over what is varied, two of the trace; memory dashed, on the right."""
    import matplotlib.pyplot as plt

    lines = json.loads(OUT.read_text())["lines"]
    figure, panels = plt.subplots(2, 3, figsize=(14, 8))
    for panel, axis in zip(panels.flat, AXES, strict=False):
        right = panel.twinx()
        for kind, colour in (("separate", "tab:blue"), ("shared", "tab:orange")):
            found = lines[f"{axis}, {kind} parameters"]
            draw(panel, found, "seconds", 1e3, colour, "o-", f"{kind}, time")
            draw(right, found, "bytes", 2**-20, colour, "s--", f"{kind}, memory")
        panel.set(title=f"An update over {axis}", ylabel="ms")
        right.set(ylabel="MiB, dashed", yscale="log")
        tidy(right, AXES[axis])
        handles = [*panel.get_lines(), *right.get_lines()]
        panel.legend(handles=handles, fontsize="x-small", loc="upper left")
    for panel, name, scale, unit in (
        (panels[1, 1], "seconds", 1e3, "ms"),
        (panels[1, 2], "bytes", 2**-20, "MiB"),
    ):
        for way, colour in (("scan", "tab:blue"), ("matrix", "tab:red")):
            label = "scan (ours)" if way == "scan" else "T × T matrix"
            draw(panel, lines[f"trace by {way}"], name, scale, colour, "o-", label)
        what = "Time" if name == "seconds" else "Memory"
        panel.set(title=f"{what} of the trace over horizon", ylabel=unit)
        panel.legend(fontsize="x-small", loc="upper left")
    for panel in panels.flat:
        panel.set(xscale="log", yscale="log")
        tidy(panel, panel.get_lines()[0].get_xdata())
        panel.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def draw(
    panel: Any, found: dict[str, Any], name: str, scale: float, colour: str, style: str, label: str
) -> None:
    """One line, with its exponent in the legend."""
    label = f"{label}: exponent {found[f'{name}_exponent']:.2f}"
    values = [scale * y for y in found[name]]
    panel.plot(found["x"], values, style, color=colour, label=label, markersize=4)


def tidy(panel: Any, x: Sequence[int]) -> None:
    """Plain numbers on the axes, and room for the legend above the lines."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    panel.set_xticks(x, [str(value) for value in x])
    panel.xaxis.set_minor_locator(NullLocator())
    low, high = panel.get_ylim()
    panel.set_ylim(low, high * (high / low) ** 0.35)
    few = high / low > 1000
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0,) if few else (1.0, 2.0, 5.0)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(FormatStrFormatter("%g"))


def main() -> None:
    """Measure or draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["run", "plot"])
    parser.add_argument("path", nargs="?", default="docs/figures/growth.png")
    parser.add_argument("--axes", nargs="+", default=[*AXES, "trace"])
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments.axes)
    else:
        plot(arguments.path)


if __name__ == "__main__":
    main()
